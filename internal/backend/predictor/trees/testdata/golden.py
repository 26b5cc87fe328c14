"""Writes the models of these tests and, in golden.json, what LightGBM and
XGBoost answer to a few rows of a pandas frame and how they explain them.

    python3 golden.py          (lightgbm 4.7, xgboost 3.2, pandas 3.1)
"""

import json
import os

import lightgbm
import numpy as np
import pandas as pd
import xgboost

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(11)
n = 600
frame = pd.DataFrame(
    {
        "air time": rng.normal(150, 60, n),
        "carrier": pd.Categorical(rng.choice(["AA", "DL", "UA", "WN"], n)),
        "hour": rng.integers(0, 24, n),
        "gate": pd.Categorical(rng.integers(1, 5, n) * 10),
    }
)
frame.loc[::17, "air time"] = np.nan
frame.loc[::23, "carrier"] = None
score = frame["air time"].fillna(100) / 60 + frame.hour / 12 + 2 * (frame.carrier == "DL") - (frame.gate == 20) * 1.0
late = (score > 4).astype(int)
size = np.digitize(score, [3, 5])
asked = frame.head(24)
golden = {}


def expect(name, predictions, contributions, outputs):
    predictions = np.asarray(predictions, float).reshape(len(asked), outputs)
    contributions = np.asarray(contributions, float).reshape(len(asked), outputs, -1)
    golden[name] = {
        "prediction": predictions.T.tolist(),
        "value": [c[:, :-1].reshape(-1).tolist() for c in contributions],
        "base": contributions[0, :, -1].tolist(),
    }


def light(name, target, outputs, **params):
    data = lightgbm.Dataset(frame, target)
    model = lightgbm.train({"verbose": -1, "num_leaves": 7, "min_data_per_group": 5, **params}, data, 6)
    model.save_model(os.path.join(here, name))
    expect(name, model.predict(asked), model.predict(asked, pred_contrib=True), outputs)


def boost(name, target, outputs, **params):
    data = xgboost.DMatrix(frame, target, enable_categorical=True)
    model = xgboost.train({"max_depth": 3, "base_score": 0.5, **params}, data, 6)
    model.save_model(os.path.join(here, name))
    rows = xgboost.DMatrix(asked, enable_categorical=True)
    expect(name, model.predict(rows), model.predict(rows, pred_contribs=True), outputs)


light("binary.txt", late, 1, objective="binary")
light("multiclass.txt", size, 3, objective="multiclass", num_class=3)
boost("binary.json", late, 1, objective="binary:logistic")
boost("regression.ubj", score, 1, objective="reg:squarederror")
boost("multiclass.json", size, 3, objective="multi:softprob", num_class=3)

# XGBoost's Python package counts letters where it should count bytes, so that
# categories beyond ASCII are cut in its files.
letters = pd.DataFrame({"city": pd.Categorical(rng.choice(["Köln", "Ulm", "Zürich"], n))})
rows = xgboost.DMatrix(letters, (letters.city == "Ulm").astype(int), enable_categorical=True)
xgboost.train({"objective": "binary:logistic", "base_score": 0.5}, rows, 3).save_model(os.path.join(here, "letters.json"))

golden["rows"] = {
    "air time": [None if np.isnan(v) else v for v in asked["air time"]],
    "carrier": [None if v != v or v is None else v for v in asked.carrier.astype(object)],
    "hour": asked.hour.tolist(),
    "gate": asked.gate.astype(int).tolist(),
}
with open(os.path.join(here, "golden.json"), "w") as file:
    json.dump(golden, file)
