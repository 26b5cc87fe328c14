"""Labels: what really happened, sent when it is known."""

from __future__ import annotations

import datetime as dt
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

from . import environment, transport
from .error import SlipwayError

LABELS_PER_REQUEST = 10_000
FIELDS = ("prediction_id", "endpoint", "key", "value", "time")


def label(
    prediction_id: str | None = None,
    value: Any = None,
    time: dt.datetime | str | None = None,
    *,
    endpoint: str | None = None,
    key: str | None = None,
    project: str | None = None,
) -> None:
    """Send the true value of one prediction.

    Name the prediction by its id, or by endpoint and key; then the label joins
    the latest prediction before it. `time` is when the truth became known, in
    event time; without it the server takes its clock.
    """
    row = {"prediction_id": prediction_id, "endpoint": endpoint, "key": key, "value": value, "time": time}
    labels([row], project=project)


def labels(rows: Iterable[Mapping[str, Any]], *, project: str | None = None) -> int:
    """Send many labels, each a dict with the arguments of label(); return how many were sent.

    All rows are checked before the first is sent.
    """
    ready = [_row(number, row) for number, row in enumerate(rows)]
    path = f"/api/v1/projects/{urllib.parse.quote(project or environment.project(), safe='')}/labels"
    for i in range(0, len(ready), LABELS_PER_REQUEST):
        transport.call(environment.server(), "POST", path, {"labels": ready[i : i + LABELS_PER_REQUEST]})
    return len(ready)


def _row(number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := set(row) - set(FIELDS):
        raise SlipwayError("invalid", f"label {number} has an unknown field {min(unknown)}", f"known: {FIELDS}")
    out = {name: row[name] for name in FIELDS if row.get(name) is not None}
    if "value" not in out:
        raise SlipwayError("invalid", f"label {number} has no value")
    if ("prediction_id" in out) == ("endpoint" in out and "key" in out):
        raise SlipwayError("invalid", f"label {number} must name a prediction_id, or an endpoint and a key")
    if isinstance(out.get("time"), dt.datetime):
        if out["time"].tzinfo is None:
            raise SlipwayError("invalid", f"the time of label {number} has no time zone")
        out["time"] = out["time"].isoformat()
    if hasattr(out["value"], "item"):  # numpy scalars
        out["value"] = out["value"].item()
    return out
