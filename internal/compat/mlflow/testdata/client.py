"""What a data scientist's script does with the unmodified MLflow client.

Run by TestUnmodifiedClient with MLFLOW_TRACKING_URI set to a server of ours.
Every statement is one that users write; what comes back is checked here.
"""

import math
import os
import sys
import tempfile

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

client = MlflowClient()


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


def fluent_logging():
    experiment = mlflow.set_experiment("flights")
    with mlflow.start_run(run_name="parent", tags={"team": "ops"}) as parent:
        mlflow.log_param("learning_rate", 0.05)
        mlflow.log_params({"leaves": 63, "objective": "binary"})
        for step in range(20):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"auc": 0.71, "nan": math.nan, "inf": math.inf})
        mlflow.set_tag("stage", "try")
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"a": [1, 2]}, "config.json")
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "big.bin"), "wb") as f:
                f.write(os.urandom(3 << 20))
            mlflow.log_artifacts(folder, "data")
        frame = pd.DataFrame({"x": [1, 2, 3], "y": [0, 1, 0]})
        mlflow.log_input(mlflow.data.from_pandas(frame, name="january"), context="training")
        with mlflow.start_run(run_name="child", nested=True) as child:
            mlflow.log_metric("auc", 0.9)

    run = mlflow.get_run(parent.info.run_id)
    check("status", run.info.status, "FINISHED")
    check("name", run.info.run_name, "parent")
    check("params", run.data.params, {"learning_rate": "0.05", "leaves": "63", "objective": "binary"})
    check("latest loss", run.data.metrics["loss"], 0.05)
    check("nan", math.isnan(run.data.metrics["nan"]), True)
    check("inf", run.data.metrics["inf"], sys.float_info.max)
    check("tag", run.data.tags["stage"], "try")
    check("dataset", run.inputs.dataset_inputs[0].dataset.name, "january")
    history = client.get_metric_history(parent.info.run_id, "loss")
    check("history", [m.step for m in history], list(range(20)))
    check("parent of the child", mlflow.get_run(child.info.run_id).data.tags["mlflow.parentRunId"], parent.info.run_id)
    check("artifacts", sorted(f.path for f in client.list_artifacts(parent.info.run_id)), ["config.json", "data", "notes"])
    check("in a folder", [f.path for f in client.list_artifacts(parent.info.run_id, "notes")], ["notes/hello.txt"])
    check("text", mlflow.artifacts.load_text(parent.info.artifact_uri + "/notes/hello.txt"), "hello")
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(parent.info.run_id, "data", folder)
        check("big file", os.path.getsize(os.path.join(path, "big.bin")), 3 << 20)
    return experiment, parent.info.run_id, child.info.run_id


def search(experiment, parent, child):
    found = mlflow.search_runs([experiment.experiment_id], "metrics.auc > 0.8")
    check("search", list(found["run_id"]), [child])
    found = mlflow.search_runs(experiment_names=["flights"], filter_string="params.leaves = '63' and tags.team = 'ops'")
    check("search by param and tag", list(found["run_id"]), [parent])
    runs = client.search_runs([experiment.experiment_id], order_by=["metrics.auc DESC"], max_results=1)
    check("order", [r.info.run_id for r in runs], [child])
    runs = client.search_runs([experiment.experiment_id], order_by=["metrics.auc DESC"], max_results=1, page_token=runs.token)
    check("second page", [r.info.run_id for r in runs], [parent])
    check("by name", client.get_experiment_by_name("flights").experiment_id, experiment.experiment_id)
    check("no such", client.get_experiment_by_name("no such"), None)
    check("search experiments", [e.name for e in client.search_experiments(filter_string="name LIKE 'fl%'")], ["flights"])


def low_level():
    experiment_id = client.create_experiment("low level", tags={"kind": "test"})
    run = client.create_run(experiment_id)
    client.log_batch(
        run.info.run_id,
        metrics=[Metric("m", i / 7, 1000 + i, i) for i in range(1000)],
    )
    client.log_batch(run.info.run_id, params=[Param("p", "ä")], tags=[RunTag("t", "line\nbreak \"quoted\"")])
    check("history of 1000", [m.value for m in client.get_metric_history(run.info.run_id, "m")], [i / 7 for i in range(1000)])
    check("unicode", client.get_run(run.info.run_id).data.params["p"], "ä")
    check("escapes", client.get_run(run.info.run_id).data.tags["t"], "line\nbreak \"quoted\"")
    try:
        client.log_param(run.info.run_id, "p", "other")
        sys.exit("a param was changed")
    except MlflowException as e:
        check("error code", e.error_code, "INVALID_PARAMETER_VALUE")
    try:
        client.get_run("0" * 32)
        sys.exit("a run that does not exist was read")
    except MlflowException as e:
        check("error code", e.error_code, "RESOURCE_DOES_NOT_EXIST")
    try:
        client.create_experiment("low level")
        sys.exit("an experiment was made twice")
    except MlflowException as e:
        check("error code", e.error_code, "RESOURCE_ALREADY_EXISTS")
    client.set_experiment_tag(experiment_id, "owner", "ana")
    client.rename_experiment(experiment_id, "low")
    check("experiment", (client.get_experiment(experiment_id).name, client.get_experiment(experiment_id).tags["owner"]), ("low", "ana"))
    client.delete_tag(run.info.run_id, "t")
    client.update_run(run.info.run_id, status="FAILED", name="renamed")
    check("updated", (client.get_run(run.info.run_id).info.status, client.get_run(run.info.run_id).info.run_name), ("FAILED", "renamed"))
    client.delete_run(run.info.run_id)
    check("deleted", len(client.search_runs([experiment_id])), 0)
    check("deleted, asked for", len(client.search_runs([experiment_id], run_view_type=ViewType.DELETED_ONLY)), 1)
    client.restore_run(run.info.run_id)
    client.delete_experiment(experiment_id)
    check("deleted experiment", client.get_experiment(experiment_id).lifecycle_stage, "deleted")
    client.restore_experiment(experiment_id)


def default_experiment():
    with mlflow.start_run(experiment_id="0") as run:
        mlflow.log_metric("a", 1)
    check("experiment 0", client.get_run(run.info.run_id).info.experiment_id, "0")


def autolog_sklearn():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    x = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
    y = (x["a"] + x["b"] > 0).astype(int)
    mlflow.sklearn.autolog()
    with mlflow.start_run() as run:
        model = LogisticRegression(C=0.5).fit(x, y)
    mlflow.sklearn.autolog(disable=True)
    got = client.get_run(run.info.run_id)
    check("autolog param", got.data.params["C"], "0.5")
    check("autolog metric", got.data.metrics["training_accuracy_score"], model.score(x, y))
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    check("predictions", list(loaded.predict(x)), list(model.predict(x)))

    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(model, name="again", input_example=x.head(2), params={"c": 1})
    loaded = mlflow.sklearn.load_model(info.model_uri)
    check("logged model", list(loaded.predict(x)), list(model.predict(x)))
    logged = mlflow.get_logged_model(info.model_id)
    check("logged model's params", logged.params, {"c": "1"})
    check("logged model's status", str(logged.status), "READY")
    outputs = client.get_run(run.info.run_id).outputs.model_outputs
    check("outputs", [m.model_id for m in outputs], [info.model_id])
    mlflow.log_metric("auc", 0.7, model_id=info.model_id, run_id=run.info.run_id)
    check("metric of the model", mlflow.get_logged_model(info.model_id).metrics[0].value, 0.7)
    found = mlflow.search_logged_models(experiment_ids=[logged.experiment_id], filter_string="name = 'again'", output_format="list")
    check("search models", [m.model_id for m in found], [info.model_id])


def autolog_lightgbm():
    import lightgbm

    rng = np.random.default_rng(2)
    x = pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b", "c"])
    y = (x["a"] > 0).astype(int)
    mlflow.lightgbm.autolog()
    with mlflow.start_run() as run:
        data = lightgbm.Dataset(x, y)
        booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_leaves": 7}, data, num_boost_round=5, valid_sets=[data], valid_names=["train"])
    mlflow.lightgbm.autolog(disable=True)
    got = client.get_run(run.info.run_id)
    check("lightgbm param", got.data.params["num_leaves"], "7")
    losses = client.get_metric_history(run.info.run_id, "train-binary_logloss")
    check("lightgbm steps", len(losses), 5)
    loaded = mlflow.lightgbm.load_model(f"runs:/{run.info.run_id}/model")
    check("lightgbm predictions", np.allclose(loaded.predict(x), booster.predict(x)), True)


found = fluent_logging()
search(*found)
low_level()
default_experiment()
mlflow.set_experiment("models")
autolog_sklearn()
autolog_lightgbm()
print("everything works with mlflow", mlflow.__version__)
