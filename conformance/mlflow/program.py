"""What differential.py sends: the calls of a client, and requests that no client makes, or only a page."""

import contextlib
import math
import pathlib
import tempfile

import requests

FILTERS = [
    "",
    "metrics.auc > 0.5",
    "metrics.auc >= 0.9 AND params.leaves = '31'",
    "metrics.`a b` != 2",
    'metrics."a b" = 1',
    "metrics.nan > 0",
    "metrics.inf > 1e300",
    "params.leaves != '31'",
    "params.leaves LIKE '3%'",
    "params.Leaves = '31'",
    "params.kind ILIKE 'GB%'",
    "params.none = 'x'",
    "params.leaves IS NULL",
    "params.leaves IS NOT NULL",
    "tags.team = 'ops' and metrics.auc < 1",
    "tags.none != 'x'",
    "tag.team LIKE '%p%'",
    "tags.`mlflow.runName` = 'run 2'",
    "attributes.status = 'FINISHED'",
    "attr.status != 'FINISHED'",
    "run_name = 'run 1'",
    "attributes.run_name ILIKE 'RUN%'",
    "start_time > 1700000002000",
    "attributes.end_time >= 0",
    "user_id = 'ana'",
    "dataset.name = 'january'",
    "datasets.digest IN ('d1', 'd2')",
    "dataset.context = 'training'",
    "metrics.auc > 0.5 OR metrics.auc < 0.2",
    "metrics.auc LIKE '1'",
    "params.leaves > 3",
    "params.leaves = 3",
    "metrics.auc = 'x'",
    "foo.bar = 1",
    "metrics.auc",
    "metrics.auc >",
    "auc > 1",
    "status IN ('FINISHED')",
    "attributes.artifact_uri LIKE 'mlflow%'",
    "metrics.auc > 0.1 AND",
    "'x' = params.leaves",
    "params.leaves IN ('31')",
    "tags.team IS NULL",
    "status IS NULL",
]
ORDERS = [
    ["metrics.auc"],
    ["metrics.auc DESC"],
    ["metrics.nan DESC"],
    ["metrics.inf ASC"],
    ["params.leaves"],
    ["params.leaves DESC", "start_time"],
    ["tags.team DESC"],
    ["start_time ASC"],
    ["run_name DESC"],
    ["status", "attributes.start_time"],
    ["metrics.`a b` DESC"],
    ["end_time DESC"],
    ["metrics.auc", "metrics.auc DESC"],
    ["foo.bar"],
    ["metrics.auc SIDEWAYS"],
    ["dataset.name"],
]


def quietly(fn, *args, **kwargs):
    """Calls the client where it may refuse: the answer is recorded either way."""
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):
        return fn(*args, **kwargs)


def program(url):
    """What a client does. Times are given, so that both servers keep the same ones."""
    from mlflow import MlflowClient
    from mlflow.entities import (
        Dataset,
        DatasetInput,
        InputTag,
        LoggedModelOutput,
        Metric,
        Param,
        RunTag,
        ViewType,
    )

    client = MlflowClient(url, url)
    exp = client.create_experiment("flights", tags={"team": "ops", "ö": "ü"})
    other = client.create_experiment("other")
    quietly(client.create_experiment, "flights")
    runs = []
    for n in range(4):
        run = client.create_run(
            exp,
            start_time=1700000000000 + n * 1000,
            run_name=f"run {n}",
            tags={"team": ["ops", "dev"][n % 2], "mlflow.user": "ana"},
        )
        runs.append(run.info.run_id)
    client.create_run(other, start_time=1700000009000, run_name="elsewhere")
    for n, run in enumerate(runs):
        client.log_metric(run, "auc", 0.25 * n, timestamp=1700000001000, step=0)
        client.log_batch(
            run,
            [Metric("loss", 1 / (s + 1), 1700000000000 + s, s) for s in range(30)],
            [Param("leaves", str(31 + n % 2)), Param("kind", "gbdt")],
            [RunTag("a/b", "é")],
        )
    first = runs[0]
    client.log_metric(first, "auc", 0.9, timestamp=1700000001000, step=-1)
    client.log_metric(first, "auc", 0.05, timestamp=1700000001000, step=0)
    client.log_metric(first, "auc", 0.05, timestamp=1700000001000, step=0)
    client.log_metric(first, "a b", 1, timestamp=5)
    client.log_metric(runs[1], "a b", 2, timestamp=5)
    for n, value in enumerate((math.nan, math.inf, -math.inf)):
        client.log_metric(first, ["nan", "inf", "minus"][n], value, timestamp=7)
        client.log_metric(runs[n + 1], ["nan", "inf", "minus"][n], 3.5, timestamp=7)
    client.log_inputs(
        first,
        [
            DatasetInput(
                Dataset("january", "d1", "local", "{}", schema="{}", profile="{}"),
                [InputTag("mlflow.data.context", "training")],
            )
        ],
    )
    client.log_inputs(runs[1], [DatasetInput(Dataset("february", "d2", "local", "{}"), [])])
    client.set_terminated(runs[1], "FINISHED", end_time=1700000100000)
    client.set_terminated(runs[2], "FAILED", end_time=1700000200000)
    client.update_run(runs[2], name="renamed")
    quietly(client.log_param, first, "leaves", "other")
    client.log_param(first, "leaves", "31")
    client.set_tag(first, "gone", "x")
    client.delete_tag(first, "gone")
    quietly(client.delete_tag, first, "gone")
    for key in ("auc", "loss", "nan", "inf", "none"):
        client.get_metric_history(first, key)
    for text in FILTERS:
        quietly(client.search_runs, [exp], text)
    for order in ORDERS:
        quietly(client.search_runs, [exp], order_by=order)
    page = client.search_runs([exp, other], order_by=["metrics.auc DESC"], max_results=2)
    while page.token:
        page = client.search_runs([exp, other], order_by=["metrics.auc DESC"], max_results=2, page_token=page.token)
    client.delete_run(runs[3])
    quietly(client.log_metric, runs[3], "auc", 1)
    for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL):
        client.search_runs([exp], run_view_type=view)
        client.search_experiments(view_type=view, order_by=["name"])
    client.restore_run(runs[3])
    client.get_run(runs[3])
    quietly(client.get_run, "0" * 32)
    for text in (
        "name = 'flights'",
        "name LIKE 'f%'",
        "name ILIKE 'F%'",
        "tags.team = 'ops'",
        "tags.`ö` = 'ü'",
        "creation_time > 0",
        "foo = 1",
        "name > 'a'",
        "tags.none != 'x'",
    ):
        quietly(client.search_experiments, filter_string=text, order_by=["name DESC"])
    client.set_experiment_tag(exp, "team", "dev")
    client.rename_experiment(exp, "flights 2")
    client.get_experiment_by_name("flights 2")
    client.get_experiment_by_name("none")
    client.delete_experiment(other)
    quietly(client.create_run, other)
    quietly(client.create_experiment, "other")
    client.get_experiment(other)
    client.restore_experiment(other)

    model = client.create_logged_model(
        exp, name="tree", source_run_id=first, tags={"a": "b"}, params={"depth": "3"}, model_type="tree"
    )
    client.log_outputs(first, [LoggedModelOutput(model.model_id, 3)])
    client.log_model_params(model.model_id, {"eta": "0.1"})
    client.log_metric(
        first, "rmse", 0.5, timestamp=9, model_id=model.model_id, dataset_name="january", dataset_digest="d1"
    )
    client.finalize_logged_model(model.model_id, "READY")
    client.set_logged_model_tags(model.model_id, {"c": "d"})
    client.delete_logged_model_tag(model.model_id, "a")
    quietly(client.delete_logged_model_tag, model.model_id, "a")
    client.get_logged_model(model.model_id)
    second = client.create_logged_model(exp, name="line")
    for text in (
        None,
        "name = 'tree'",
        "params.depth = '3'",
        "tags.c = 'd'",
        "metrics.rmse < 1",
        "status = 'READY'",
        "model_type = 'tree'",
        "foo = 1",
    ):
        quietly(
            client.search_logged_models, [exp], filter_string=text, order_by=[{"field_name": "name", "ascending": True}]
        )
    quietly(client.search_logged_models, [exp], order_by=[{"field_name": "metrics.rmse", "ascending": False}])
    client.delete_logged_model(second.model_id)
    quietly(client.get_logged_model, second.model_id)
    client.get_run(first)

    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.txt", "b.json", "c d.bin"):
            pathlib.Path(folder, name).write_text(name)
        client.log_artifacts(first, folder, "dir/in")
        client.log_artifact(first, folder + "/a.txt")
        client.list_artifacts(first)
        client.list_artifacts(first, "dir")
        client.list_artifacts(first, "dir/in")
        client.list_artifacts(first, "none")
        client.download_artifacts(first, "dir", folder)

    registry(client, first)
    by_hand(url, exp, runs)


def registry(client, run):
    """Registered models, versions, stages, aliases."""
    files = client.get_run(run).info.artifact_uri
    client.create_registered_model("flight delay", tags={"a": "b"}, description="says when")
    quietly(client.create_registered_model, "flight delay")
    for name in ("", "a/b", "a:b"):
        quietly(client.create_registered_model, name)
    for n in range(3):
        client.create_model_version("flight delay", files + "/dir", run, tags={"n": str(n)}, description=f"version {n}")
    quietly(client.create_model_version, "none", files, run)
    client.get_registered_model("flight delay")
    quietly(client.get_registered_model, "none")
    client.update_registered_model("flight delay", "says when it lands")
    client.set_registered_model_tag("flight delay", "k", "v")
    client.delete_registered_model_tag("flight delay", "a")
    client.set_model_version_tag("flight delay", "1", "k", "v")
    client.delete_model_version_tag("flight delay", "1", "n")
    client.update_model_version("flight delay", "1", "the first")
    for alias, version in (("best", "1"), ("best", "2"), ("latest", "1"), ("v3", "1"), ("ok", "9")):
        quietly(client.set_registered_model_alias, "flight delay", alias, version)
    client.get_model_version_by_alias("flight delay", "best")
    quietly(client.get_model_version_by_alias, "flight delay", "none")
    for version, stage, archive in (
        ("1", "staging", False),
        ("2", "Staging", True),
        ("3", "Production", False),
        ("3", "Live", False),
        ("9", "Staging", False),
    ):
        quietly(client.transition_model_version_stage, "flight delay", version, stage, archive)
    for version in ("1", "2", "3", "9"):
        quietly(client.get_model_version, "flight delay", version)
    client.get_latest_versions("flight delay")
    client.get_latest_versions("flight delay", ["Production"])
    for text in (
        "",
        "name = 'flight delay'",
        "name LIKE 'fl%'",
        "name ILIKE 'FL%'",
        "tags.k = 'v'",
        "tags.k != 'v'",
        "name > 'a'",
        "foo = 'x'",
    ):
        quietly(client.search_registered_models, text)
    for text in (
        "",
        "name = 'flight delay'",
        "version_number > 1",
        "version_number = 2",
        f"run_id = '{run}'",
        "tags.k = 'v'",
        "source_path LIKE '%dir'",
        "foo = 1",
        "name LIKE 'f%'",
    ):
        quietly(client.search_model_versions, text, order_by=["version_number ASC"])
    for order in (["name DESC"], ["last_updated_timestamp"], ["version_number DESC"], ["foo"]):
        quietly(client.search_model_versions, "name = 'flight delay'", order_by=order)
    client.search_model_versions("name = 'flight delay'", max_results=2)
    client.delete_registered_model_alias("flight delay", "best")
    client.delete_model_version("flight delay", "1")
    quietly(client.delete_model_version, "flight delay", "1")
    client.rename_registered_model("flight delay", "delay")
    client.get_registered_model("delay")
    client.delete_registered_model("delay")
    quietly(client.delete_registered_model, "delay")


def by_hand(url, exp, runs):
    """Requests that no client makes, or only a page."""
    run = runs[0]
    api, ajax = url + "/api/2.0/mlflow/", url + "/ajax-api/2.0/mlflow/"
    for path, body in [
        ("runs/log-metric", {"run_id": run, "key": "m", "value": "1.5", "timestamp": "12", "step": "3"}),
        ("runs/log-metric", {"run_uuid": run, "key": "m", "value": 2, "timestamp": 13}),
        ("runs/log-metric", {"run_id": run, "key": "m", "value": 2}),
        ("runs/log-metric", {"run_id": run, "value": 2, "timestamp": 1}),
        ("runs/log-metric", {"run_id": run, "key": "m", "value": "high", "timestamp": 1}),
        ("runs/log-metric", {"run_id": run, "key": "m", "value": 1, "timestamp": 1.5}),
        ("runs/log-metric", {"run_id": 3, "key": "m", "value": 1, "timestamp": 1}),
        ("runs/log-metric", {"run_id": "none", "key": "m", "value": 1, "timestamp": 1}),
        ("runs/log-metric", {"run_id": run, "key": "a" * 251, "value": 1, "timestamp": 1}),
        ("runs/log-metric", {"run_id": run, "key": "../a", "value": 1, "timestamp": 1}),
        ("runs/log-metric", {"run_id": run, "key": "a;b", "value": 1, "timestamp": 1}),
        ("runs/log-parameter", {"run_id": run, "key": "p", "value": 3}),
        ("runs/log-parameter", {"run_id": run, "key": "p"}),
        ("runs/log-parameter", {"run_id": run, "key": "long", "value": "v" * 6001}),
        ("runs/set-tag", {"run_id": run, "key": "t", "value": "v" * 8001}),
        ("runs/set-tag", {"run_id": run, "key": "", "value": "v"}),
        ("runs/log-batch", {"run_id": run, "params": [{"key": "q", "value": "1"}, {"key": "q", "value": "2"}]}),
        ("runs/log-batch", {"run_id": run, "metrics": "x"}),
        ("runs/log-batch", {"run_id": run, "metrics": [{"key": "n", "value": 1, "timestamp": 1}] * 1001}),
        ("runs/log-batch", {"run_id": run, "tags": [{"key": "n", "value": "1"}] * 101}),
        ("runs/log-batch", {"run_id": run}),
        ("runs/log-batch", {}),
        ("runs/update", {"run_id": run, "status": "SLEEPING"}),
        ("runs/search", {"experiment_ids": [exp], "max_results": 50001}),
        ("runs/search", {"experiment_ids": [exp], "page_token": "!!"}),
        ("runs/search", {"experiment_ids": [exp], "order_by": "x"}),
        ("runs/search", {}),
        ("runs/create", {"experiment_id": "99"}),
        (
            "runs/create",
            {"experiment_id": exp, "run_name": "a", "start_time": 1, "tags": [{"key": "mlflow.runName", "value": "b"}]},
        ),
        ("runs/delete", {}),
        ("experiments/create", {}),
        ("experiments/create", {"name": ""}),
        ("experiments/create", {"name": 3}),
        ("experiments/update", {"experiment_id": exp}),
        ("logged-models", {"experiment_id": exp, "name": "a/b"}),
        ("logged-models/search", {"experiment_ids": [exp], "max_results": 1}),
    ]:
        requests.post(api + path, json=body)
    for path, query in [
        ("experiments/get", {"experiment_id": exp}),
        ("experiments/get", {"experiment_id": "x"}),
        ("experiments/get", {}),
        ("experiments/get-by-name", {}),
        ("runs/get", {"run_uuid": run}),
        ("runs/get", {}),
        ("metrics/get-history", {"run_id": run, "metric_key": "loss", "max_results": 7}),
        ("metrics/get-history", {"run_id": run}),
        ("artifacts/list", {"run_id": run, "path": "dir"}),
        ("artifacts/list", {"run_id": run, "path": "../x"}),
        ("artifacts/list", {}),
        ("logged-models/none", {}),
        ("nothing", {}),
    ]:
        requests.get(api + path, params=query)
    for ids in ([], [exp], [str(n) for n in range(21)]):
        requests.post(ajax + "experiments/search-datasets", json={"experiment_ids": ids})
    # One run at a time: they come in the order of their ids, which each server makes up.
    for query in (
        {"run_id": runs[0], "metric_key": "auc"},
        {"run_id": runs[1], "metric_key": "loss", "max_results": 5},
        {"run_id": runs},
        {"metric_key": "auc"},
    ):
        requests.get(ajax + "metrics/get-history-bulk", params=query)
    for query in (
        {"run_ids": runs, "metric_key": "loss"},
        {"run_ids": [run], "metric_key": "loss", "max_results": 4},
        {"run_ids": [run], "metric_key": "loss", "start_step": 3, "end_step": 9},
    ):
        requests.get(ajax + "metrics/get-history-bulk-interval", params=query)
    proxy = url + "/api/2.0/mlflow-artifacts/artifacts"
    requests.put(proxy + "/loose/x.txt", data=b"x")
    requests.get(proxy, params={"path": "loose"})
    requests.get(proxy + "/loose/x.txt")
    requests.get(proxy + "/loose/none.txt")
    requests.delete(proxy + "/loose/x.txt")
    requests.get(url + "/get-artifact", params={"run_id": run, "path": "a.txt"})
