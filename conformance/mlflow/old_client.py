"""What a script does with an MLflow 2.x client. MLFLOW_TRACKING_URI names a server of ours."""

import os
import sys
import tempfile

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

client = MlflowClient()


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


def runs():
    experiment = mlflow.set_experiment("old flights")
    with mlflow.start_run(run_name="parent") as parent:
        mlflow.log_params({"leaves": 63})
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.set_tag("team", "ops")
        with mlflow.start_run(nested=True) as child:
            mlflow.log_metric("loss", 0.01)
    client.log_batch(
        parent.info.run_id, [Metric("m", i, 1000 + i, i) for i in range(100)], [Param("p", "1")], [RunTag("t", "x")]
    )
    got = client.get_run(parent.info.run_id)
    check("latest", got.data.metrics["loss"], 0.2)
    check("params", got.data.params, {"leaves": "63", "p": "1"})
    check("history", [m.value for m in client.get_metric_history(parent.info.run_id, "m")], list(range(100)))
    found = mlflow.search_runs([experiment.experiment_id], "metrics.loss < 0.1")
    check("search", list(found["run_id"]), [child.info.run_id])
    found = client.search_runs([experiment.experiment_id], order_by=["metrics.loss DESC"], max_results=1)
    check("order", found[0].info.run_id, parent.info.run_id)
    check("experiments", [e.name for e in client.search_experiments(filter_string="name LIKE 'old%'")], ["old flights"])
    client.delete_run(child.info.run_id)
    check("deleted", client.get_run(child.info.run_id).info.lifecycle_stage, "deleted")
    return parent.info.run_id


def artifacts(run):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "a b.txt"), "w") as f:
            f.write("hello")
        client.log_artifacts(run, folder, "dir")
        client.log_text(run, "text", "notes.txt")
        check("list", sorted(f.path for f in client.list_artifacts(run)), ["dir", "notes.txt"])
        path = client.download_artifacts(run, "dir", folder)
        with open(os.path.join(path, "a b.txt")) as f:
            check("file", f.read(), "hello")


def models():
    from sklearn.linear_model import LogisticRegression

    x = np.random.default_rng(1).normal(size=(100, 2))
    y = (x[:, 0] > 0).astype(int)
    mlflow.sklearn.autolog()
    with mlflow.start_run() as run:
        model = LogisticRegression().fit(x, y)
    mlflow.sklearn.autolog(disable=True)
    check("autolog", "C" in client.get_run(run.info.run_id).data.params, True)
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    check("predictions", list(loaded.predict(x)), list(model.predict(x)))
    with mlflow.start_run():
        mlflow.sklearn.log_model(model, "model", registered_model_name="old-model")
    version = client.get_latest_versions("old-model")[0]
    check("version", version.version, "1")
    client.transition_model_version_stage("old-model", "1", "Staging")
    loaded = mlflow.pyfunc.load_model("models:/old-model/Staging")
    check("registered", list(loaded.predict(x)), list(model.predict(x)))


artifacts(runs())
models()
print("everything works with mlflow", mlflow.__version__)
