from __future__ import annotations

import pathlib
import urllib.parse
import warnings
from collections.abc import Callable

import pytest
from fake_server import Answer, Request, Server

import slipway


class Store:
    """The part of the MLflow API that the SDK uses, in memory."""

    def __init__(self, server: Server) -> None:
        self.experiments: dict[str, str] = {}
        self.batches: list[dict] = []
        self.updates: list[dict] = []
        self.created: list[dict] = []
        self.files: dict[str, bytes] = {}
        self.artifact_root = "mlflow-artifacts:/1"
        server.answer = self.answer

    def answer(self, request: Request) -> Answer:
        url = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if request.method == "PUT":
            self.files[urllib.parse.unquote(url.path)] = request.body
            return Answer({})
        operation = url.path.removeprefix("/api/2.0/mlflow/")
        if operation == "experiments/get-by-name":
            found = self.experiments.get(query["experiment_name"])
            if found is None:
                return Answer({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}, 404)
            return Answer({"experiment": {"experiment_id": found}})
        if operation == "experiments/create":
            self.experiments[request.json["name"]] = str(len(self.experiments) + 1)
            return Answer({"experiment_id": self.experiments[request.json["name"]]})
        if operation == "runs/create":
            self.created.append(request.json)
            return Answer({"run": {"info": {"run_id": f"run{len(self.created)}"}}})
        if operation == "runs/get":
            return Answer({"run": {"info": {"artifact_uri": f"{self.artifact_root}/{query['run_id']}/artifacts"}}})
        if operation == "runs/log-batch":
            self.batches.append(request.json)
            return Answer({})
        if operation == "runs/update":
            self.updates.append(request.json)
            return Answer({})
        return Answer({"error_code": "ENDPOINT_NOT_FOUND", "message": operation}, 404)


@pytest.fixture
def store(server: Server) -> Store:
    return Store(server)


def test_step_logs_to_its_own_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_RUN_ID", "abc")
    slipway.log_metrics({"auc": 0.5, "loss": 1}, step=3)
    slipway.log_metric("bad", float("-inf"))
    slipway.log_metric("missing", float("nan"))
    slipway.log_params({"leaves": 31, "on": True})
    slipway.log_param("rate", 0.05)
    slipway.set_tag("team", "a")
    assert {batch["run_id"] for batch in store.batches} == {"abc"}
    first = store.batches[0]["metrics"]
    assert [(m["key"], m["value"], m["step"]) for m in first] == [("auc", 0.5, 3), ("loss", 1.0, 3)]
    assert first[0]["timestamp"] > 1_600_000_000_000, "milliseconds since 1970"
    assert [batch["metrics"][0]["value"] for batch in store.batches[1:3]] == ["-Infinity", "NaN"]
    assert store.batches[3]["params"] == [{"key": "leaves", "value": "31"}, {"key": "on", "value": "True"}]
    assert store.batches[4]["params"] == [{"key": "rate", "value": "0.05"}]
    assert store.batches[5]["tags"] == [{"key": "team", "value": "a"}]


def test_large_batches_are_cut(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_RUN_ID", "abc")
    slipway.log_metrics({f"m{i}": i for i in range(2001)})
    slipway.log_params({f"p{i}": i for i in range(101)})
    assert [len(b.get("metrics", b.get("params", []))) for b in store.batches] == [1000, 1000, 1, 100, 1]


def test_run_creates_its_experiment_once_and_ends(store: Store) -> None:
    for name in ("one", None):
        with slipway.run(experiment="flights", name=name, tags={"n": 1}) as run:
            slipway.log_metric("auc", 0.7)
    assert store.experiments == {"flights": "1"}
    assert [c.get("run_name") for c in store.created] == ["one", None]
    assert store.created[0]["tags"] == [{"key": "n", "value": "1"}]
    assert run.id == "run2" and [b["run_id"] for b in store.batches] == ["run1", "run2"]
    assert [u["status"] for u in store.updates] == ["FINISHED", "FINISHED"]


def test_experiment_that_somebody_else_creates_meanwhile(store: Store, server: Server) -> None:
    def race(request: Request) -> Answer:
        if request.path.endswith("experiments/create"):
            store.answer(request)
            return Answer({"error_code": "RESOURCE_ALREADY_EXISTS", "message": "there"}, 400)
        return store.answer(request)

    server.answer = race
    with slipway.run(experiment="flights"):
        pass
    assert store.created[0]["experiment_id"] == "1"


def test_nested_runs_know_their_parent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_RUN_ID", "step")
    with slipway.run(), slipway.run():
        slipway.log_metric("inner", 1)
    slipway.log_metric("outer", 1)
    assert [c["tags"][0]["value"] for c in store.created] == ["step", "run1"]
    assert [b["run_id"] for b in store.batches] == ["run2", "step"]


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_run_that_raises(store: Store, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), slipway.run():
        raise error
    assert store.updates[0]["status"] == status


def test_own_failure_is_not_hidden_by_a_server_that_is_away(store: Store, server: Server) -> None:
    with pytest.raises(ValueError), slipway.run():
        server.answer = lambda request: Answer({}, 500)
        raise ValueError


def test_artifacts(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("SLIPWAY_RUN_ID", "abc")
    folder = tmp_path / "plots" / "deep"
    folder.mkdir(parents=True)
    (folder / "a b.txt").write_bytes(b"x" * 200_000)
    (tmp_path / "model.txt").write_text("tree")
    slipway.log_artifact("model.txt", "model")
    slipway.log_artifact(tmp_path / "plots")
    root = "/api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts/"
    assert store.files == {root + "model/model.txt": b"tree", root + "plots/deep/a b.txt": b"x" * 200_000}
    with pytest.raises(slipway.SlipwayError, match="no file nowhere") as caught:
        slipway.log_artifact("nowhere")
    assert caught.value.code == "not_found"
    store.artifact_root = "s3://bucket"
    with pytest.raises(slipway.SlipwayError, match="at s3:"):
        slipway.log_artifact("model.txt")


def test_artifact_is_sent_whole_again_after_a_503(
    store: Store, server: Server, waits: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setenv("SLIPWAY_RUN_ID", "abc")
    (tmp_path / "f").write_bytes(b"content")
    bodies: list[bytes] = []

    def busy_once(request: Request) -> Answer:
        if request.method == "PUT":
            bodies.append(request.body)
            return Answer({}, 503 if len(bodies) == 1 else 200)
        return store.answer(request)

    server.answer = busy_once
    slipway.log_artifact("f")
    assert bodies == [b"content", b"content"]


@pytest.mark.parametrize("log", [lambda: slipway.log_metric("a", 1), lambda: slipway.log_metrics({"a": 1})])
def test_by_hand_nothing_is_kept_and_one_warning_says_so(log: Callable[[], None]) -> None:
    with pytest.warns(UserWarning, match="nothing that is logged is kept") as caught:
        log()
    assert caught[0].filename == __file__, "the warning points at the script"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slipway.log_params({"b": 2})


def test_named_server_without_a_run_is_a_mistake(server: Server) -> None:
    with pytest.raises(slipway.SlipwayError, match="no run is active") as caught:
        slipway.log_metric("a", 1)
    assert caught.value.code == "invalid" and not server.requests


def test_metric_must_be_a_number(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_RUN_ID", "abc")
    with pytest.raises(slipway.SlipwayError, match="metric a is not a number: 'x'"):
        slipway.log_metric("a", "x")  # type: ignore[arg-type]
    assert not store.batches
