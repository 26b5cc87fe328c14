"""Trains small models with LightGBM and XGBoost and writes, for each, the model
file and <name>.bin: what the library itself answers on awkward rows.

    python3 golden.py            # lightgbm >= 4, xgboost >= 3, pandas, numpy

<name>.bin is little-endian: int32 rows, features, outputs; then float64 arrays
x (rows x features), prediction (rows x outputs), margin (rows x outputs) and
contribution (rows x outputs x (features + 1), base value last).
"""

import os
import struct

import lightgbm as lgb
import numpy as np
import pandas as pd
import xgboost as xgb

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(7)


def table(n):
    """Eight columns: plain, skewed, with NaN, mostly zero, integers, two categories, noise."""
    x = pd.DataFrame(
        {
            "plain": rng.normal(size=n),
            "skewed": rng.lognormal(size=n),
            "gaps": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "sparse": np.where(rng.random(n) < 0.7, 0.0, rng.normal(size=n)),
            "count": rng.poisson(3, size=n).astype(float),
            "city": pd.Categorical(rng.choice(list("abcdefghij"), size=n), categories=list("abcdefghij")),
            "code": pd.Categorical(rng.integers(0, 90, size=n), categories=list(range(90))),
            "noise": rng.normal(size=n),
        }
    )
    x.loc[rng.random(n) < 0.1, "city"] = np.nan
    city = x["city"].cat.codes.to_numpy()
    code = x["code"].cat.codes.to_numpy()
    score = (
        x["plain"]
        + 0.5 * np.log(x["skewed"])
        + np.nan_to_num(x["gaps"], nan=1.5)
        + (x["sparse"] == 0)
        + 0.2 * x["count"]
        + np.where(city % 3 == 1, 1.0, -0.5)
        + np.sin(code * 2.1)
        + 0.3 * x["plain"] * (city % 2)
    )
    return x, score.to_numpy() + 0.3 * rng.normal(size=n)


def codes(x):
    """The matrix a native predictor gets: category codes as numbers, NaN as missing."""
    out = np.empty(x.shape)
    for i, name in enumerate(x.columns):
        column = x[name]
        if column.dtype.name == "category":
            c = column.cat.codes.to_numpy().astype(float)
            c[c < 0] = np.nan
            out[:, i] = c
        else:
            out[:, i] = column
    return out


def awkward(m, thresholds, inf=True):
    """Extends m by rows that hit thresholds exactly, infinities, zeros and unseen categories."""
    rows = m[:60].copy()
    for f, values in thresholds.items():
        values = np.asarray(sorted(values))[:: max(1, len(values) // 6)]
        for v in values:
            for w in (v, np.nextafter(v, np.inf), np.nextafter(v, -np.inf)):
                row = m[rng.integers(len(m))].copy()
                row[f] = w
                rows = np.vstack([rows, row])
    extra = m[60:90].copy()
    extra[0, :] = np.nan
    extra[1, :] = 0.0
    if m.shape[1] > 6:
        extra[2, 5:7] = [47, 4000]
        extra[3, 5:7] = [-3, 1e12]
        extra[4, 5:7] = [2.7, 3.2]
    extra[5, :5] = 1e-36
    extra[6, :5] = -0.0
    if inf:
        extra[7, :5] = np.inf
        extra[8, :5] = -np.inf
    return np.vstack([rows, extra])


def save(name, x, pred, margin, contrib):
    rows, features = x.shape
    pred, margin = np.asarray(pred, float).reshape(rows, -1), np.asarray(margin, float).reshape(rows, -1)
    contrib = np.asarray(contrib, float).reshape(rows, -1)
    assert contrib.shape[1] == margin.shape[1] * (features + 1), (name, contrib.shape, margin.shape)
    with open(os.path.join(HERE, name + ".bin"), "wb") as f:
        f.write(struct.pack("<iii", rows, features, margin.shape[1]))
        for a in (x, pred, margin, contrib):
            f.write(np.ascontiguousarray(a, dtype="<f8").tobytes())


def lightgbm(name, params, y, x, rounds=25, matrix=False):
    data = codes(x) if matrix else x
    base = {"verbose": -1, "num_threads": 1, "seed": 3, "num_leaves": 15, "min_data_in_leaf": 5, "learning_rate": 0.15}
    model = lgb.train({**base, **params}, lgb.Dataset(data, y), rounds)
    model.save_model(os.path.join(HERE, name + ".txt"))
    thresholds = {}

    def walk(node):
        if "threshold" not in node:
            return
        if node["decision_type"] == "<=":
            thresholds.setdefault(node["split_feature"], set()).add(node["threshold"])
        walk(node["left_child"])
        walk(node["right_child"])

    for t in model.dump_model()["tree_info"]:
        walk(t["tree_structure"])
    m = awkward(codes(x), thresholds)
    loaded = lgb.Booster(model_file=os.path.join(HERE, name + ".txt"))
    save(name, m, loaded.predict(m), loaded.predict(m, raw_score=True), loaded.predict(m, pred_contrib=True))


def xgboost(name, params, y, x, rounds=25, ext="json", cats=False):
    data = x if cats else codes(x)
    names = list(x.columns)
    d = xgb.DMatrix(data, y, feature_names=names, enable_categorical=cats)
    model = xgb.train({"nthread": 1, "seed": 3, "max_depth": 5, "eta": 0.2, **params}, d, rounds)
    model.save_model(os.path.join(HERE, f"{name}.{ext}"))
    thresholds = {}
    f = model.trees_to_dataframe()
    for feature, split in zip(f["Feature"], f["Split"]):
        if feature != "Leaf" and not np.isnan(split):
            thresholds.setdefault(names.index(feature), set()).add(float(np.float32(split)))
    m = awkward(codes(x), thresholds, inf=False)
    if cats:
        # XGBoost refuses categories it never saw in a data frame; as plain codes
        # it refuses negative ones, so these rows keep to what it answers.
        m[:, 5] = np.where(m[:, 5] < 0, np.nan, m[:, 5])
        m[:, 6] = np.where((m[:, 6] < 0) | (m[:, 6] > 1e6), np.nan, m[:, 6])
    types = ["c" if x[n].dtype.name == "category" else "q" for n in names] if cats else None
    q = xgb.DMatrix(m, feature_names=names, feature_types=types, enable_categorical=cats)
    save(name, m, model.predict(q), model.predict(q, output_margin=True), model.predict(q, pred_contribs=True))


def main():
    x, s = table(800)
    binary = (s > np.median(s)).astype(int)
    three = np.digitize(s, np.quantile(s, [0.33, 0.66]))
    count = rng.poisson(np.exp(np.clip(s / 3, -3, 2)))
    lightgbm("lgb-binary", {"objective": "binary", "cat_smooth": 1, "min_data_per_group": 5}, binary, x)
    lightgbm("lgb-sigmoid", {"objective": "binary", "sigmoid": 2.5, "num_leaves": 8}, binary, x, 10)
    lightgbm("lgb-onehot", {"objective": "regression", "max_cat_to_onehot": 100}, s, x, 12)
    lightgbm("lgb-zero", {"objective": "regression", "zero_as_missing": True}, s, x, 15, matrix=True)
    lightgbm("lgb-none", {"objective": "regression", "use_missing": False}, s, x, 10, matrix=True)
    lightgbm("lgb-sqrt", {"objective": "regression", "reg_sqrt": True}, s, x, 10)
    lightgbm("lgb-l1", {"objective": "l1"}, s, x, 10)
    lightgbm("lgb-poisson", {"objective": "poisson"}, count, x, 15)
    lightgbm("lgb-multiclass", {"objective": "multiclass", "num_class": 3, "num_leaves": 8}, three, x, 8)
    lightgbm("lgb-ova", {"objective": "multiclassova", "num_class": 3, "num_leaves": 8}, three, x, 8)
    lightgbm("lgb-xentropy", {"objective": "cross_entropy"}, binary, x, 8)
    lightgbm("lgb-xentlambda", {"objective": "cross_entropy_lambda"}, binary, x, 8)
    lightgbm("lgb-dart", {"objective": "binary", "boosting": "dart", "drop_rate": 0.3}, binary, x)
    rf = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7, "num_leaves": 31}
    lightgbm("lgb-rf", {"objective": "binary", **rf}, binary, x, 10)
    lightgbm("lgb-rf-reg", {"objective": "regression", **rf}, s, x, 10)
    lightgbm("lgb-deep", {"objective": "regression", "num_leaves": 63, "min_data_in_leaf": 1}, s, x, 10)
    lightgbm("lgb-constant", {"objective": "regression", "min_data_in_leaf": 900}, s, x, 3)

    wide = pd.DataFrame(rng.normal(size=(600, 40)), columns=[f"w{i}" for i in range(40)])
    ys = (wide.to_numpy() ** 2).sum(axis=1) + wide["w0"] * wide["w1"]
    model = lgb.train(
        {"objective": "regression", "verbose": -1, "num_leaves": 63, "min_data_in_leaf": 1, "num_threads": 1, "extra_trees": True},
        lgb.Dataset(wide, ys), 8)
    model.save_model(os.path.join(HERE, "lgb-wide.txt"))
    m = wide.to_numpy()[:80]
    save("lgb-wide", m, model.predict(m), model.predict(m, raw_score=True), model.predict(m, pred_contrib=True))

    xgboost("xgb-binary", {"objective": "binary:logistic"}, binary, x)
    xgboost("xgb-base", {"objective": "binary:logistic", "base_score": 0.2}, binary, x, 10)
    xgboost("xgb-logitraw", {"objective": "binary:logitraw"}, binary, x, 10)
    xgboost("xgb-reg", {"objective": "reg:squarederror", "max_depth": 9}, s, x, 10)
    xgboost("xgb-cat", {"objective": "binary:logistic"}, binary, x, 20, cats=True)
    xgboost("xgb-cat-ubj", {"objective": "reg:squarederror"}, s, x, 10, ext="ubj", cats=True)
    xgboost("xgb-onehot", {"objective": "reg:squarederror", "max_cat_to_onehot": 100}, s, x, 10, cats=True)
    xgboost("xgb-softprob", {"objective": "multi:softprob", "num_class": 3}, three, x, 6)
    xgboost("xgb-poisson", {"objective": "count:poisson"}, count, x, 10)
    xgboost("xgb-gamma", {"objective": "reg:gamma"}, count + 1.0, x, 10)
    xgboost("xgb-tweedie", {"objective": "reg:tweedie"}, count, x, 10, ext="ubj")
    xgboost("xgb-lossguide", {"objective": "reg:absoluteerror", "grow_policy": "lossguide", "max_leaves": 40, "max_depth": 0}, s, x, 8)
    xgboost("xgb-parallel", {"objective": "binary:logistic", "num_parallel_tree": 4, "subsample": 0.6}, binary, x, 3)
    xgboost("xgb-dart", {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.3}, binary, x, 12)

    # Two small trees with a category, for the fuzzer to start from.
    few = x[["plain", "city"]]
    tiny = lgb.train({"objective": "regression", "verbose": -1, "num_threads": 1, "num_leaves": 4}, lgb.Dataset(few, s), 2)
    text = tiny.model_to_string().split("parameters:")[0]
    with open(os.path.join(HERE, "lgb-small.txt"), "w") as f:
        f.write(text + 'pandas_categorical:[["a", "b"]]\n')
    tiny = xgb.train({"max_depth": 2, "nthread": 1}, xgb.DMatrix(few, s, enable_categorical=True), 2)
    tiny.save_model(os.path.join(HERE, "xgb-small.json"))
    tiny.save_model(os.path.join(HERE, "xgb-small.ubj"))

    linear = xgb.train({"booster": "gblinear", "objective": "reg:squarederror"}, xgb.DMatrix(codes(x).copy(), s), 3)
    linear.save_model(os.path.join(HERE, "bad-gblinear.json"))
    lgb.train({"objective": "regression", "linear_tree": True, "verbose": -1, "num_threads": 1}, lgb.Dataset(codes(x), s), 2).save_model(
        os.path.join(HERE, "bad-linear-tree.txt"))

    # Missing against present: LightGBM writes such a split as a threshold of inf.
    absent = pd.DataFrame({"a": np.where(rng.random(800) < 0.4, np.nan, rng.normal(size=800)), "b": rng.normal(size=800)})
    lightgbm("lgb-absent", {"objective": "regression"}, absent["a"].isna() * 2.0 + absent["b"], absent, 10)


if __name__ == "__main__":
    main()
