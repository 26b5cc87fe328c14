"""Keras's autolog, on JAX. MLFLOW_TRACKING_URI names a server of ours."""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

import keras
import mlflow
import numpy as np
from mlflow import MlflowClient

client = MlflowClient()


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


x = np.random.default_rng(1).normal(size=(64, 3))
y = (x[:, 0] > 0).astype(int)
model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
mlflow.set_experiment("keras")
mlflow.keras.autolog()
with mlflow.start_run() as run:
    model.fit(x, y, epochs=3, verbose=0)
got = client.get_run(run.info.run_id)
check("metrics", {"loss", "accuracy"} <= set(got.data.metrics), True)
check("an epoch a step", [m.step for m in client.get_metric_history(run.info.run_id, "loss")], [0, 1, 2])
check("params", got.data.params["epochs"], "3")
loaded = mlflow.keras.load_model(f"runs:/{run.info.run_id}/model")
check("predictions", np.allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5), True)
print("everything works with mlflow", mlflow.__version__, "and keras", keras.__version__)
