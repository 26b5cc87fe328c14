"""Bare model files, as a step of a pipeline writes them: `make` writes them into a folder, `load` loads
the versions that were registered of them through the unmodified MLflow client.

Run by TestWhatThePipelineRegistersLoads with MLFLOW_TRACKING_URI set to a server of ours.
"""

import pickle
import sys

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import xgboost
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(3)
x = pd.DataFrame(rng.normal(size=(100, 3)), columns=["a", "b", "c"])
y = (x["a"] > 0).astype(int)


def make(folder):
    lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(x, y), num_boost_round=5).save_model(folder + "/model.txt")
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(x, y), num_boost_round=5)
    booster.save_model(folder + "/model.json")
    booster.save_model(folder + "/model.ubj")
    with open(folder + "/model.pkl", "wb") as f:
        pickle.dump(LogisticRegression().fit(x, y), f)


def load(folder):
    client = MlflowClient()
    booster = xgboost.Booster(model_file=folder + "/model.json").predict(xgboost.DMatrix(x))
    with open(folder + "/model.pkl", "rb") as f:
        linear = pickle.load(f).predict(x)
    wanted = {
        "model-txt": lightgbm.Booster(model_file=folder + "/model.txt").predict(x),
        "model-json": booster,
        "model-ubj": booster,
        "model-pkl": linear,
    }
    if sorted(m.name for m in client.search_registered_models()) != sorted(wanted):
        sys.exit(f"the registry has {client.search_registered_models()}")
    for name, want in wanted.items():
        client.set_registered_model_alias(name, "best", "1")
        for uri in [f"models:/{name}/1", f"models:/{name}@best", client.get_model_version(name, 1).source]:
            got = mlflow.pyfunc.load_model(uri).predict(x)
            if not np.allclose(got, want):
                sys.exit(f"{uri} answers {got[:3]}, its file {want[:3]}")
    print(mlflow.lightgbm.load_model("models:/model-txt/1"), mlflow.xgboost.load_model("models:/model-json/1"), mlflow.sklearn.load_model("models:/model-pkl/1"))


{"make": make, "load": load}[sys.argv[1]](sys.argv[2])
