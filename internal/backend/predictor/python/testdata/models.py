"""Writes real models, with the library's own answers to five rows, into the
folder named on the command line. The tests run it: a pickle belongs to the
versions that made it, so none is committed."""

import json
import os
import pickle
import sys

import joblib
import lightgbm
import mlflow
import numpy as np
import pandas as pd
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

out = sys.argv[1]
rng = np.random.default_rng(7)
n = 400
frame = pd.DataFrame(
    {
        "distance": rng.normal(800, 300, n),
        "hour": rng.integers(0, 24, n),
        "carrier": rng.choice(["AA", "DL", "UA"], n),
    }
)
score = (frame.distance - 800) / 300 + frame.hour / 12 + (frame.carrier == "DL")
late = np.where(score > 1.3, "yes", "no")
size = np.select([score < 0.5, score < 2], ["none", "some"], "much")
numbers = frame[["distance", "hour"]].astype(float)
category = frame.assign(carrier=frame.carrier.astype("category"))
expected = {}


def expect(name, rows, **columns):
    expected[name] = {
        "in": [[c, rows[c].astype(object).tolist()] for c in rows.columns],
        "out": [[c, np.asarray(v).tolist()] for c, v in columns.items()],
    }


def path(name):
    return os.path.join(out, name)


def pickled(name, model):
    with open(path(name), "wb") as file:
        pickle.dump(model, file)


ask, asked = numbers.head(5), frame.head(5)

model = LogisticRegression(max_iter=1000).fit(numbers, late)
pickled("classifier.pkl", model)
expect("classifier.pkl", ask, probability=model.predict_proba(ask)[:, 1])

prepare = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
    (make_pipeline(SimpleImputer(), StandardScaler()), ["distance", "hour"]),
)
model = make_pipeline(prepare, RandomForestClassifier(20, random_state=0)).fit(frame, size)
joblib.dump(model, path("pipeline.joblib"))
expect("pipeline.joblib", asked, **dict(zip(model.classes_, model.predict_proba(asked).T)))

model = HistGradientBoostingRegressor(max_iter=20).fit(numbers.to_numpy(), score)
pickled("regressor.pkl", model)
expect("regressor.pkl", ask, prediction=model.predict(ask.to_numpy()))

model = make_pipeline(StandardScaler(), LinearSVC()).fit(numbers, size)
pickled("labels.pkl", model)
expect("labels.pkl", ask, prediction=model.predict(ask))

model = lightgbm.LGBMClassifier(n_estimators=20, verbose=-1).fit(category, late)
pickled("lightgbm.pkl", model)
expect("lightgbm.pkl", asked, probability=model.predict_proba(category.head(5))[:, 1])
model.booster_.save_model(path("lightgbm.txt"))
expect("lightgbm.txt", asked, probability=model.predict_proba(category.head(5))[:, 1])

model = xgboost.XGBClassifier(n_estimators=20).fit(numbers, np.searchsorted(["much", "none", "some"], size))
model.save_model(path("xgboost.json"))
expect("xgboost.json", ask, **dict(zip("012", model.predict_proba(ask).T.astype(float))))


def folder(name, flavour, model, example, **more):
    signature = mlflow.models.infer_signature(example, more.pop("output", None))
    flavour.save_model(path=path(name), **{"python_model" if flavour is mlflow.pyfunc else "sk_model": model}, signature=signature, **more)


typed = frame.astype({"hour": "int32", "distance": "float32"})
model = make_pipeline(prepare, LogisticRegression(max_iter=1000)).fit(typed, late)
folder("mlflow-sklearn", mlflow.sklearn, model, typed, output=late, serialization_format="cloudpickle")
expect("mlflow-sklearn", asked, probability=model.predict_proba(typed.head(5))[:, 1])


class Custom(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        assert str(model_input.hour.dtype) == "int32", model_input.dtypes
        return pd.DataFrame({"low": model_input.distance - 1, "high": model_input.distance + model_input.hour})


folder("mlflow-custom", mlflow.pyfunc, Custom(), typed)
head = typed.head(5)
expect("mlflow-custom", asked, low=(head.distance - 1).astype(float), high=(head.distance + head.hour).astype(float))

with open(path("expected.json"), "w") as file:
    json.dump(expected, file)
