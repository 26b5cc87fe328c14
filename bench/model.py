"""Trains the models that the predict and shap benchmarks share, and measures the libraries in process.

    python bench/model.py train DIR      xgboost.json, lightgbm.txt, rows.json and mlflow/ (an MLflow model) in DIR
    python bench/model.py predict DIR    one row at a time, CPU in µs, as JSON
    python bench/model.py shap DIR       SHAP values, a row and a batch of 256, CPU in µs a row, as JSON

500 trees of depth 6 over 30 numeric features, binary. One thread: processor time is what is compared.
"""

import json
import os
import sys
import time

import numpy as np

FEATURES = [f"f{i}" for i in range(30)]


def train(folder: str) -> None:
    import lightgbm
    import xgboost

    rng = np.random.default_rng(1)
    x = rng.normal(size=(20_000, len(FEATURES)))
    z = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(3 * x[:, 3]) + 0.3 * x[:, 4:] @ rng.normal(size=len(FEATURES) - 4)
    y = (z + rng.normal(size=len(z)) > 0).astype(int)
    os.makedirs(folder, exist_ok=True)
    xgb = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 6, "eta": 0.05, "nthread": 2},
        xgboost.DMatrix(x, y, feature_names=FEATURES), 500)
    xgb.save_model(os.path.join(folder, "xgboost.json"))
    lgb = lightgbm.train(
        {"objective": "binary", "num_leaves": 64, "max_depth": 6, "learning_rate": 0.05, "num_threads": 2, "verbose": -1},
        lightgbm.Dataset(x, y, feature_name=FEATURES), 500)
    lgb.save_model(os.path.join(folder, "lightgbm.txt"))
    try:
        import mlflow.xgboost

        mlflow.xgboost.save_model(xgb, os.path.join(folder, "mlflow"))
    except ImportError:
        pass
    # Written last: it marks that everything is there.
    with open(os.path.join(folder, "rows.json"), "w") as f:
        json.dump(x[:1024].tolist(), f)


def load(folder: str):
    import lightgbm
    import xgboost

    with open(os.path.join(folder, "rows.json")) as f:
        rows = np.array(json.load(f))
    xgb = xgboost.Booster({"nthread": 1}, model_file=os.path.join(folder, "xgboost.json"))
    return rows, xgb, lightgbm.Booster(model_file=os.path.join(folder, "lightgbm.txt"))


def cpu(call, units: int, seconds: float = 1.0) -> float:
    """The processor time of a call, in µs for each of units."""
    call()
    n, begin, end = 0, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < end:
        call()
        n += 1
    return (time.process_time() - begin) / n / units * 1e6


def predict(folder: str) -> dict:
    import xgboost

    rows, xgb, lgb = load(folder)
    one = rows[:1]

    def matrix():
        xgb.predict(xgboost.DMatrix(one, feature_names=FEATURES, nthread=1))

    return {
        "xgboost, DMatrix": cpu(matrix, 1),
        "xgboost, inplace_predict": cpu(lambda: xgb.inplace_predict(one, validate_features=False), 1),
        "lightgbm, predict": cpu(lambda: lgb.predict(one, num_threads=1), 1),
    }


def explain(folder: str) -> dict:
    import xgboost

    rows, xgb, lgb = load(folder)
    out = {}
    for name, x in (("row", rows[:1]), ("batch", rows[:256])):
        d = xgboost.DMatrix(x, feature_names=FEATURES, nthread=1)
        out["xgboost pred_contribs, " + name] = cpu(lambda: xgb.predict(d, pred_contribs=True), len(x))
        out["lightgbm pred_contrib, " + name] = cpu(lambda: lgb.predict(x, pred_contrib=True, num_threads=1), len(x))
    try:
        import shap
    except ImportError:
        return out
    tree = shap.TreeExplainer(lgb, feature_perturbation="tree_path_dependent")
    tree.model.model_type = "internal"  # else shap hands the work to the library measured above
    for name, x in (("row", rows[:1]), ("batch", rows[:256])):
        out["shap, " + name] = cpu(lambda: tree.shap_values(x, check_additivity=False), len(x))
    return out


if __name__ == "__main__":
    what, where = sys.argv[1:]
    if what == "train":
        train(where)
    else:
        json.dump({"predict": predict, "shap": explain}[what](where), sys.stdout)
