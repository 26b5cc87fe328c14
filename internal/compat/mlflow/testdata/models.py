"""The heavier half of what scripts do with the unmodified MLflow client: models, evaluation,
parallel runs, system metrics, large files, traces.

Run by TestUnmodifiedClient with MLFLOW_TRACKING_URI set to a server of ours.
"""

import concurrent.futures
import importlib.util
import os
import sys
import tempfile
import time

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient

client = MlflowClient()


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


def table(rows=300):
    rng = np.random.default_rng(3)
    x = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["a", "b", "c"])
    return x, (x["a"] - x["b"] > 0).astype(int)


def autolog_xgboost():
    import xgboost

    x, y = table()
    mlflow.xgboost.autolog()
    with mlflow.start_run() as run:
        data = xgboost.DMatrix(x, y)
        booster = xgboost.train(
            {"objective": "binary:logistic", "max_depth": 3},
            data,
            num_boost_round=6,
            evals=[(data, "train")],
            verbose_eval=False,
        )
    mlflow.xgboost.autolog(disable=True)
    got = client.get_run(run.info.run_id)
    check("xgboost param", got.data.params["max_depth"], "3")
    check("xgboost steps", len(client.get_metric_history(run.info.run_id, "train-logloss")), 6)
    model = got.outputs.model_outputs[0].model_id
    loaded = mlflow.xgboost.load_model(f"models:/{model}")
    check("xgboost predictions", np.allclose(loaded.predict(data), booster.predict(data)), True)


def grid_search():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    x, y = table()
    mlflow.sklearn.autolog(max_tuning_runs=3, log_models=False)
    with mlflow.start_run() as run:
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1, 10]}, cv=2).fit(x, y)
    mlflow.sklearn.autolog(disable=True)
    children = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    check("nested runs of a search", sorted(r.data.params["C"] for r in children), ["0.1", "1", "10"])


def load_by_each_uri():
    from sklearn.linear_model import LogisticRegression

    x, y = table()
    model = LogisticRegression().fit(x, y)
    signature = mlflow.models.infer_signature(x, model.predict(x))
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(model, name="linear", signature=signature)
    want = list(model.predict(x))
    for uri in (f"runs:/{run.info.run_id}/linear", f"models:/{info.model_id}", info.model_uri):
        check(uri, list(mlflow.pyfunc.load_model(uri).predict(x)), want)
    check("signature", mlflow.models.get_model_info(info.model_uri).signature, signature)
    client.set_logged_model_tags(info.model_id, {"kind": "linear"})
    check("tag of a model", client.get_logged_model(info.model_id).tags["kind"], "linear")
    client.delete_logged_model_tag(info.model_id, "kind")
    check("no tag", "kind" in client.get_logged_model(info.model_id).tags, False)
    return model, info, x, y


def evaluate(model, info, x, y):
    data = mlflow.data.from_pandas(x.assign(target=y), targets="target", name="holdout")
    with mlflow.start_run() as run:
        result = mlflow.models.evaluate(
            info.model_uri,
            data,
            model_type="classifier",
            evaluator_config={"log_explainer": False, "explainer_type": None, "log_model_explainability": False},
        )
    check("accuracy", result.metrics["accuracy_score"], model.score(x, y))
    got = client.get_run(run.info.run_id)
    check("logged accuracy", got.data.metrics["accuracy_score"], model.score(x, y))
    check("dataset", got.inputs.dataset_inputs[0].dataset.name, "holdout")
    check("model that was evaluated", [m.model_id for m in got.inputs.model_inputs], [info.model_id])
    on = [m for m in client.get_logged_model(info.model_id).metrics if m.key == "accuracy_score"]
    check("metric of the model on the data", [(m.dataset_name, m.run_id) for m in on], [("holdout", run.info.run_id)])
    found = client.search_logged_models(
        [got.info.experiment_id], "metrics.accuracy_score > 0.5", datasets=[{"dataset_name": "holdout"}]
    )
    check("search by a metric on data", [m.model_id for m in found], [info.model_id])
    check("plots", any(f.path.endswith(".png") for f in client.list_artifacts(run.info.run_id)), True)


def parallel_runs():
    """Threads with a run each, and several that write one run."""
    experiment = client.create_experiment("parallel")
    shared = client.create_run(experiment).info.run_id

    def work(n):
        run = client.create_run(experiment, run_name=f"worker {n}").info.run_id
        for step in range(20):
            client.log_metric(run, "loss", n + step, step=step)
            client.log_metric(shared, f"loss {n}", step, step=step)
        client.log_param(shared, f"p{n}", n)
        client.set_terminated(run)
        return run

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(work, range(8)))
    check("runs", len(set(runs)), 8)
    check("finished", len(client.search_runs([experiment], "status = 'FINISHED'")), 8)
    check("params of the shared run", len(client.get_run(shared).data.params), 8)
    for n in range(8):
        check("metrics of the shared run", len(client.get_metric_history(shared, f"loss {n}")), 20)
    ordered = client.search_runs([experiment], order_by=["metrics.loss DESC"], max_results=3)
    check("best", [r.info.run_name for r in ordered], ["worker 7", "worker 6", "worker 5"])


def asynchronous():
    with mlflow.start_run() as run:
        for step in range(50):
            mlflow.log_metric("async", step, step=step, synchronous=False)
        mlflow.log_params({"a": 1, "b": 2}, synchronous=False)
        mlflow.flush_async_logging()
    check("async metrics", len(client.get_metric_history(run.info.run_id, "async")), 50)


def system_metrics():
    if importlib.util.find_spec("psutil") is None:
        print("psutil is not installed: no system metrics")
        return
    mlflow.set_system_metrics_sampling_interval(1)
    mlflow.set_system_metrics_samples_before_logging(1)
    with mlflow.start_run(log_system_metrics=True) as run:
        deadline = time.monotonic() + 30
        while "system/cpu_utilization_percentage" not in client.get_run(run.info.run_id).data.metrics:
            if time.monotonic() > deadline:
                sys.exit("no system metrics")
            time.sleep(0.2)


def datasets():
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    with mlflow.start_run() as run:
        mlflow.log_input(
            mlflow.data.from_pandas(frame, name="train", targets="y"), context="training", tags={"part": "a"}
        )
        mlflow.log_input(mlflow.data.from_numpy(np.eye(2), name="array"), context="testing")
    inputs = {i.dataset.name: i for i in client.get_run(run.info.run_id).inputs.dataset_inputs}
    check("datasets", sorted(inputs), ["array", "train"])
    check(
        "tags of an input",
        {t.key: t.value for t in inputs["train"].tags},
        {"mlflow.data.context": "training", "part": "a"},
    )
    found = client.search_runs([run.info.experiment_id], "dataset.name = 'array' AND dataset.context = 'testing'")
    check("search by dataset", [r.info.run_id for r in found], [run.info.run_id])


def large_file():
    """Goes up in parts, as the client does with what is larger than its limit."""
    os.environ.update(
        MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD="true",
        MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE="1000000",
        MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE="5242880",
    )
    content = os.urandom((11 << 20) + 17)
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
        path = os.path.join(folder, "weights of it.bin")
        with open(path, "wb") as f:
            f.write(content)
        mlflow.log_artifact(path, "deep/er")
        back = mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id, artifact_path="deep/er/weights of it.bin", dst_path=folder + "/back"
        )
        with open(back, "rb") as f:
            check("large file", f.read() == content, True)
    del os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"]


def traces_break_nothing():
    @mlflow.trace
    def double(x):
        return 2 * x

    with mlflow.start_run() as run:
        check("traced function", double(21), 42)
        mlflow.log_metric("after", 1)
    check("the run goes on", client.get_run(run.info.run_id).info.status, "FINISHED")


def figures_and_tables():
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([1, 2])
    with mlflow.start_run() as run:
        mlflow.log_figure(figure, "plots/line.png")
        mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), "black.png")
        mlflow.log_table({"q": ["a", "b"], "n": [1, 2]}, "table.json")
    check("table", mlflow.load_table("table.json", run_ids=[run.info.run_id])["n"].tolist(), [1, 2])
    check("files", sorted(f.path for f in client.list_artifacts(run.info.run_id)), ["black.png", "plots", "table.json"])


mlflow.set_experiment("models")
autolog_xgboost()
grid_search()
evaluate(*load_by_each_uri())
parallel_runs()
asynchronous()
system_metrics()
datasets()
large_file()
traces_break_nothing()
figures_and_tables()
print("everything works with mlflow", mlflow.__version__)
