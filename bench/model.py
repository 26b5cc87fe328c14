"""Trains the models that the predict and explain benchmarks share, and measures the libraries in process.

    python bench/model.py train DIR      xgboost.json, lightgbm.txt, rows.json and mlflow/ (an MLflow model) in DIR
    python bench/model.py predict DIR    one row at a time, CPU in µs, as JSON
    python bench/model.py library DIR    a row, a batch of 10,000, a deep forest, CPU by "quantity|library", as JSON
    python bench/model.py shap DIR       SHAP values, a row and a batch of 256, the same

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
        {"objective": "binary", "num_leaves": 64, "max_depth": 6, "learning_rate": 0.05, "num_threads": 2,
         "verbose": -1},
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


ONE, MANY, FOREST = "predict a row", "predict a row of 10,000, a tree", "predict a row, forest of 100 deep trees"


def library(folder: str) -> dict:
    rows, xgb, lgb = load(folder)
    large = np.tile(rows, (10, 1))[:10_000]
    # inplace_predict: a DMatrix would be answered from XGBoost's cache from the second time on.
    out = {
        ONE + "|xgboost, inplace_predict": cpu(lambda: xgb.inplace_predict(rows[:1], validate_features=False), 1),
        ONE + "|lightgbm": cpu(lambda: lgb.predict(rows[:1], num_threads=1), 1),
        MANY + "|xgboost": 1e3 * cpu(lambda: xgb.inplace_predict(large, validate_features=False), len(large) * 500),
        MANY + "|lightgbm": 1e3 * cpu(lambda: lgb.predict(large, num_threads=1), len(large) * 500),
    }
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(os.path.join(folder, "xgboost.onnx"), options, ["CPUExecutionProvider"])
        one, many = {"input": rows[:1].astype("f4")}, {"input": large.astype("f4")}
        out[ONE + "|onnxruntime"] = cpu(lambda: session.run(None, one), 1)
        out[MANY + "|onnxruntime"] = 1e3 * cpu(lambda: session.run(None, many), len(large) * 500)
    except ImportError:
        pass
    try:
        model = forest(folder, rows)
        out[FOREST + "|sklearn"] = cpu(lambda: model.predict_proba(rows[:1]), 1)
    except ImportError:
        pass
    return out


def forest(folder: str, rows):
    """scikit-learn's forest of 100 deep trees, and the file that Slipway answers it by."""
    from sklearn.ensemble import RandomForestClassifier

    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python", "src"))
    import slipway

    rng = np.random.default_rng(2)
    x = rng.normal(size=(20_000, len(FEATURES)))
    y = (x[:, 0] + x[:, 1] * x[:, 2] + 2 * rng.normal(size=len(x)) > 0).astype(int)
    model = RandomForestClassifier(100, n_jobs=1, random_state=0).fit(x, y)
    if not os.path.exists(os.path.join(folder, "sklearn.json")):
        slipway.save_model(model, os.path.join(folder, "sklearn.json"), rows)
    return model


def explain(folder: str) -> dict:
    import xgboost

    rows, xgb, lgb = load(folder)
    out = {}
    for name, x in (("explain a row", rows[:1]), ("explain a row of 256", rows[:256])):
        d = xgboost.DMatrix(x, feature_names=FEATURES, nthread=1)
        out[name + "|xgboost pred_contribs"] = cpu(lambda d=d: xgb.predict(d, pred_contribs=True), len(x))
        out[name + "|lightgbm pred_contrib"] = cpu(lambda x=x: lgb.predict(x, pred_contrib=True, num_threads=1), len(x))
    d = xgboost.DMatrix(rows[:4], feature_names=FEATURES, nthread=1)
    out["interactions of a row|xgboost"] = cpu(lambda: xgb.predict(d, pred_interactions=True), 4)
    try:
        import shap
    except ImportError:
        return out
    tree = shap.TreeExplainer(lgb, feature_perturbation="tree_path_dependent")
    tree.model.model_type = "internal"  # else shap hands the work to the library measured above
    against = shap.TreeExplainer(lgb, rows[-100:], feature_perturbation="interventional")
    for name, x in (("a row", rows[:1]), ("a row of 256", rows[:256])):
        out[f"explain {name}|shap"] = cpu(lambda x=x: tree.shap_values(x, check_additivity=False), len(x))
        few = x[:16]
        out[f"explain {name} against 100|shap"] = cpu(
            lambda x=few: against.shap_values(x, check_additivity=False), len(few)
        )
    return out


if __name__ == "__main__":
    what, where = sys.argv[1:]
    if what == "train":
        train(where)
    else:
        json.dump({"predict": predict, "library": library, "shap": explain}[what](where), sys.stdout)
