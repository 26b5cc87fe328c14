"""Trains estimators on a small awkward table, saves each with slipway.save_model
and writes form.json: the files' contents and what the estimators answer.

    PYTHONPATH=../../../../../python/src python3 form.py
    # scikit-learn >= 1.3, lightgbm >= 3.3, xgboost >= 2.0, pandas, numpy
"""

import json
import os
import sys
import tempfile
import warnings

import lightgbm
import numpy as np
import pandas as pd
import slipway
import sklearn
import xgboost
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

HERE = os.path.dirname(os.path.abspath(__file__))
warnings.filterwarnings("ignore")
r = np.random.default_rng(5)
N, ROWS = 400, 25
X = pd.DataFrame(
    {
        "age": r.normal(size=N),
        "gap": np.where(r.random(N) < 0.2, np.nan, r.normal(size=N)),
        "city": pd.Series(r.choice(["x", "y", "z"], N)).astype(object),
        "count": r.integers(0, 5, N).astype(float),
    }
)
X.loc[r.random(N) < 0.1, "city"] = None
SCORE = X["age"] + X["gap"].fillna(1) + (X["city"] == "x") + 0.3 * r.normal(size=N)
BINARY = (SCORE > 0).astype(int)
THREE = np.array(["high", "low", "mid"])[np.digitize(SCORE, [-0.5, 0.7])]
COUNT = np.exp(SCORE.clip(-2, 2))


def scaled():
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), ["age", "gap"]),
        (make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(handle_unknown="ignore")), ["city"]),
        remainder="passthrough",
    )


def coded():
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    return ColumnTransformer(
        [("o", encoder, ["city"]), ("n", MinMaxScaler(clip=True), ["age"]), ("r", RobustScaler(), ["count"])],
        remainder="passthrough",
    )


def strict():
    first = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(drop="first"))
    return make_column_transformer((first, ["city"]), ("passthrough", ["age", "count"]))


def models():
    matrix = X[["age", "gap", "count"]].to_numpy()
    categories = X.assign(city=X["city"].astype("category"))
    few = {"n_estimators": 6, "max_depth": 4, "random_state": 0}
    yield "logistic", make_pipeline(scaled(), LogisticRegression()), X, BINARY
    yield "softmax", make_pipeline(scaled(), LogisticRegression()), X, THREE
    yield "one-vs-all", make_pipeline(strict(), SGDClassifier(loss="log_loss", random_state=0)), X, THREE
    yield "ridge", make_pipeline(scaled(), Ridge()), X, SCORE
    yield "poisson", make_pipeline(scaled(), PoissonRegressor()), X, COUNT
    yield "tree", DecisionTreeClassifier(max_depth=30, random_state=0), matrix, BINARY
    yield "tree-regression", DecisionTreeRegressor(max_depth=8, random_state=0), matrix, SCORE
    yield "forest", make_pipeline(coded(), RandomForestClassifier(**few)), X, BINARY
    yield "forest-three", make_pipeline(coded(), RandomForestClassifier(**few)), X, THREE
    yield "extra", make_pipeline(SimpleImputer(), ExtraTreesRegressor(**few)), X[["age", "gap", "count"]], SCORE
    yield "boosting", make_pipeline(scaled(), GradientBoostingClassifier(n_estimators=8)), X, BINARY
    yield "boosting-three", make_pipeline(scaled(), GradientBoostingClassifier(n_estimators=4)), X, THREE
    yield "boosting-exponential", make_pipeline(scaled(), GradientBoostingClassifier(n_estimators=6, loss="exponential")), X, BINARY
    yield "boosting-regression", make_pipeline(scaled(), GradientBoostingRegressor(n_estimators=8)), X, SCORE
    yield "hist", HistGradientBoostingClassifier(categorical_features=["city"], max_iter=6), X, BINARY
    yield "hist-nan", HistGradientBoostingClassifier(categorical_features=["city"], max_iter=6), X.fillna({"city": np.nan}), BINARY
    yield "logistic-nan", make_pipeline(scaled(), LogisticRegression()), X.fillna({"city": np.nan}), BINARY
    yield "hist-three", HistGradientBoostingClassifier(max_iter=4), matrix, THREE
    yield "hist-poisson", HistGradientBoostingRegressor(loss="poisson", max_iter=6), matrix, COUNT
    yield "lightgbm", lightgbm.LGBMClassifier(n_estimators=5, verbose=-1), categories, THREE
    yield "lightgbm-pipeline", make_pipeline(scaled(), lightgbm.LGBMClassifier(n_estimators=5, verbose=-1)), X, BINARY
    yield "xgboost-pipeline", make_pipeline(scaled(), xgboost.XGBRegressor(n_estimators=5, max_depth=4)), X, SCORE


def cell(v):
    if v is None or v is pd.NA or (isinstance(v, float) and np.isnan(v)):
        return None
    return v.item() if hasattr(v, "item") else v


def main():
    out = []
    folder = tempfile.mkdtemp()
    for name, model, x, y in models():
        try:
            model.fit(x, y)
        except (ValueError, TypeError) as err:
            print(name, "is not of this release:", err, file=sys.stderr)
            continue
        saved = slipway.save_model(model, os.path.join(folder, name), x)
        if not saved.native:
            print(name, saved.reason, file=sys.stderr)
            continue
        rows = x[:ROWS].copy()
        if hasattr(rows, "columns") and "city" in rows and name not in ("one-vs-all", "lightgbm"):
            rows.loc[rows.index[3], "city"] = "never seen"
        want = model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows).reshape(-1, 1)
        if want.shape[1] == 2:
            want = want[:, 1:]
        columns = list(rows.columns) if hasattr(rows, "columns") else [f"x{i}" for i in range(rows.shape[1])]
        values = rows.to_numpy(dtype=object).tolist() if hasattr(rows, "columns") else rows.tolist()
        out.append({
            "name": name, "file": saved.path.read_text(), "columns": columns,
            "rows": [[cell(v) for v in row] for row in values], "want": want.astype(float).ravel().tolist(),
            "classes": [str(c) for c in getattr(model, "classes_", [])],
        })  # fmt: skip
    version = f"sklearn-{sklearn.__version__}"
    with open(os.path.join(HERE, f"form-{version}.json"), "w") as f:
        json.dump({"versions": [version, lightgbm.__version__, xgboost.__version__], "models": out}, f)
    print(version, len(out), "models")


if __name__ == "__main__":
    main()
