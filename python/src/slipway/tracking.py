"""Experiments and runs, through the MLflow API of the server (/api/2.0/mlflow)."""

from __future__ import annotations

import contextlib
import math
import mimetypes
import os
import pathlib
import time
import urllib.parse
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from . import environment, transport
from .error import SlipwayError

API = "/api/2.0/mlflow/"

# Limits of one log-batch request.
METRICS_PER_BATCH, PARAMS_PER_BATCH, TAGS_PER_BATCH = 1000, 100, 100

_current: ContextVar[Run | None] = ContextVar("slipway_run", default=None)
_warned = False


class Run:
    """One run on a server: what is logged here stays there."""

    def __init__(self, run_id: str, server: str | None = None) -> None:
        self.id = run_id
        self.server = server or environment.server()

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record metrics at a step, all or none of a thousand at a time."""
        now = time.time_ns() // 1_000_000
        rows = [{"key": k, "value": _number(k, v), "timestamp": now, "step": step} for k, v in metrics.items()]
        self._batch("metrics", rows, METRICS_PER_BATCH)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record params. A param that has another value already fails with invalid."""
        self._batch("params", [{"key": k, "value": str(v)} for k, v in params.items()], PARAMS_PER_BATCH)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags, replacing older values."""
        self._batch("tags", [{"key": k, "value": str(v)} for k, v in tags.items()], TAGS_PER_BATCH)

    def log_artifact(self, path: str | os.PathLike[str], folder: str = "") -> None:
        """Store a file, or a folder with everything in it, under `folder` of the run's artifacts."""
        source = pathlib.Path(path)
        if not source.exists():
            raise SlipwayError("not_found", f"there is no file {source} to log")
        reply = self._call("GET", "runs/get?" + urllib.parse.urlencode({"run_id": self.id}))
        uri = urllib.parse.urlsplit(str(reply["run"]["info"]["artifact_uri"]))
        if uri.scheme != "mlflow-artifacts":
            raise SlipwayError("invalid", f"run {self.id} keeps its artifacts at {uri.scheme}:, not with the server")
        files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
        for file in files:
            name = pathlib.PurePosixPath(uri.path.strip("/"), folder, file.relative_to(source.parent).as_posix())
            content_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            target = "/api/2.0/mlflow-artifacts/artifacts/" + urllib.parse.quote(str(name))
            with file.open("rb") as body:
                transport.send(self.server, "PUT", target, body, content_type, timeout=300)

    def end(self, status: str = "FINISHED") -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        now = time.time_ns() // 1_000_000
        self._call("POST", "runs/update", {"run_id": self.id, "status": status, "end_time": now})

    def _batch(self, kind: str, rows: list[dict[str, Any]], size: int) -> None:
        for i in range(0, len(rows), size):
            self._call("POST", "runs/log-batch", {"run_id": self.id, kind: rows[i : i + size]})

    def _call(self, method: str, operation: str, body: Any = None) -> Any:
        return transport.call(self.server, method, API + operation, body)


@contextlib.contextmanager
def run(experiment: str = "Default", name: str | None = None, tags: Mapping[str, Any] | None = None) -> Iterator[Run]:
    """Create a run that lasts as long as the with block, and make it the current one.

    An experiment that does not exist is created. Inside a step, or another run,
    the new run is its child. An exception ends the run as FAILED and goes on.
    """
    server = environment.server()
    pairs = dict(tags or {})
    if parent := _current.get() or _step_run():
        pairs.setdefault("mlflow.parentRunId", parent.id)
    request: dict[str, Any] = {
        "experiment_id": _experiment(server, experiment),
        "start_time": time.time_ns() // 1_000_000,
        "tags": [{"key": k, "value": str(v)} for k, v in pairs.items()],
    }
    if name:
        request["run_name"] = name
    reply = transport.call(server, "POST", API + "runs/create", request)
    new = Run(str(reply["run"]["info"]["run_id"]), server)
    token = _current.set(new)
    try:
        yield new
    except BaseException as err:
        # The script's own failure matters more than a server that is away.
        with contextlib.suppress(SlipwayError):
            new.end("FAILED" if isinstance(err, Exception) else "KILLED")
        raise
    else:
        new.end()
    finally:
        _current.reset(token)


def log_metric(name: str, value: float, step: int = 0) -> None:
    """Record one value of a metric in the current run."""
    if current := _active():
        current.log_metrics({name: value}, step)


def log_metrics(metrics: Mapping[str, float], step: int = 0) -> None:
    """Record several metrics at one step in the current run."""
    if current := _active():
        current.log_metrics(metrics, step)


def log_param(name: str, value: Any) -> None:
    """Record one param in the current run."""
    if current := _active():
        current.log_params({name: value})


def log_params(params: Mapping[str, Any]) -> None:
    """Record params in the current run."""
    if current := _active():
        current.log_params(params)


def set_tag(name: str, value: Any) -> None:
    """Set a tag of the current run."""
    if current := _active():
        current.set_tags({name: value})


def log_artifact(path: str | os.PathLike[str], folder: str = "") -> None:
    """Store a file or a folder among the current run's artifacts."""
    if current := _active():
        current.log_artifact(path, folder)


def _active() -> Run | None:
    """The run to log to: of the with block, else of the step.

    None when the script runs by hand and no server was named; a named server
    without a run is a mistake and fails with invalid.
    """
    global _warned
    if current := _current.get() or _step_run():
        return current
    if os.environ.get("SLIPWAY_SERVER"):
        raise SlipwayError("invalid", "no run is active", "log inside `with slipway.run(experiment=...):`")
    if not _warned:
        _warned = True
        warnings.warn("not inside a Slipway run: nothing that is logged is kept", stacklevel=3)
    return None


def _step_run() -> Run | None:
    run_id = os.environ.get("SLIPWAY_RUN_ID")
    return Run(run_id) if run_id else None


def _experiment(server: str, name: str) -> str:
    """The id of an experiment, created when there is none of that name."""
    find = API + "experiments/get-by-name?" + urllib.parse.urlencode({"experiment_name": name})
    try:
        return str(transport.call(server, "GET", find)["experiment"]["experiment_id"])
    except SlipwayError as err:
        if err.code != "not_found":
            raise
    try:
        return str(transport.call(server, "POST", API + "experiments/create", {"name": name})["experiment_id"])
    except SlipwayError as err:
        if err.code != "conflict":  # somebody else created it between the two calls
            raise
    return str(transport.call(server, "GET", find)["experiment"]["experiment_id"])


def _number(name: str, value: Any) -> float | str:
    """A metric's value as JSON can carry it: NaN and infinity travel as text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise SlipwayError("invalid", f"metric {name} is not a number: {value!r}") from None
    return number if math.isfinite(number) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(number)]
