"""Writes goldens, as golden.py does, by the releases that are installed; their
names carry the release.

    python3 older.py            # in an environment with older releases
"""

import golden
import lightgbm
import numpy as np
import xgboost


def release(module):
    return "".join(module.__version__.split(".")[:2])


def main():
    x, s = golden.table(500)
    binary = (s > np.median(s)).astype(int)
    three = np.digitize(s, np.quantile(s, [0.33, 0.66]))
    lgb, xgb = "lgb" + release(lightgbm), "xgb" + release(xgboost)
    golden.lightgbm(lgb + "-binary", {"objective": "binary", "cat_smooth": 1, "min_data_per_group": 5}, binary, x, 8)
    golden.lightgbm(lgb + "-multiclass", {"objective": "multiclass", "num_class": 3, "num_leaves": 8}, three, x, 4)
    golden.lightgbm(lgb + "-zero", {"objective": "regression", "zero_as_missing": True}, s, x, 6, matrix=True)
    golden.xgboost(xgb + "-binary", {"objective": "binary:logistic"}, binary, x, 8)
    golden.xgboost(xgb + "-softprob", {"objective": "multi:softprob", "num_class": 3}, three, x, 3, ext="ubj")
    if not xgboost.__version__.startswith("1."):  # which do not explain categories
        golden.xgboost(xgb + "-cat", {"objective": "reg:squarederror"}, s, x, 6, cats=True)
        golden.xgboost(xgb + "-cat-ubj", {"objective": "reg:squarederror"}, s, x, 4, ext="ubj", cats=True)
    golden.xgboost(xgb + "-dart", {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.3}, binary, x, 6)


if __name__ == "__main__":
    main()
