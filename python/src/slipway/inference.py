"""Predictions over the Open Inference Protocol v2 (REST)."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import urllib.parse
from collections.abc import Mapping
from typing import Any

from . import environment, transport
from .error import SlipwayError


@dataclasses.dataclass(frozen=True)
class Prediction:
    """An answer: `id` names it in the prediction log, `outputs` has a list a column."""

    id: str
    model: str
    version: str
    outputs: dict[str, list[Any]]
    parameters: dict[str, Any]

    @property
    def values(self) -> list[Any]:
        """The first output: one value a row for most models."""
        return next(iter(self.outputs.values()), [])


def predict(
    endpoint: str,
    rows: Any,
    *,
    url: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    timeout: float = transport.TIMEOUT,
) -> Prediction:
    """Ask an endpoint for predictions.

    `rows` is a list of dicts, a dict of columns, a pandas or polars DataFrame or
    a pyarrow Table. The endpoint's key and time columns may be among them, so
    that a label can find the prediction by its key. Missing values (None, NaN,
    NaT) travel as null.
    """
    columns = _columns(rows)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise SlipwayError("invalid", "rows must be a table with at least one row and columns of one length")
    request: dict[str, Any] = {"inputs": [_tensor(name, values) for name, values in columns.items()]}
    if parameters:
        request["parameters"] = dict(parameters)
    path = f"/v2/models/{urllib.parse.quote(endpoint, safe='')}/infer"
    reply = transport.call(url or environment.inference(), "POST", path, request, timeout=timeout)
    return Prediction(
        id=str(reply.get("id", "")),
        model=str(reply.get("model_name", endpoint)),
        version=str(reply.get("model_version", "")),
        outputs={str(output["name"]): _rows(output) for output in reply.get("outputs", [])},
        parameters=dict(reply.get("parameters") or {}),
    )


def _columns(rows: Any) -> dict[str, list[Any]]:
    """Any table as a dict of columns."""
    if hasattr(rows, "to_pydict"):  # pyarrow
        return dict(rows.to_pydict())
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # pandas, polars
        return {str(name): rows[name].to_list() for name in rows.columns}
    if isinstance(rows, Mapping):
        return {str(name): list(values) for name, values in rows.items()}
    if isinstance(rows, (list, tuple)) and all(isinstance(row, Mapping) for row in rows):
        names = dict.fromkeys(name for row in rows for name in row)
        return {str(name): [row.get(name) for row in rows] for name in names}
    raise SlipwayError("invalid", f"rows cannot be a {type(rows).__name__}", "pass a list of dicts or a DataFrame")


def _tensor(name: str, values: list[Any]) -> dict[str, Any]:
    """One column as an input tensor of shape [rows]."""
    data = [_plain(value) for value in values]
    present = [value for value in data if value is not None]
    if any(isinstance(value, str) for value in present):
        if not all(isinstance(value, str) for value in present):
            raise SlipwayError("invalid", f"column {name} mixes text and numbers")
        datatype = "BYTES"
    elif present and all(isinstance(value, bool) for value in present):
        datatype = "BOOL"
    elif len(present) == len(data) and all(type(value) is int for value in present):
        datatype = "INT64"
    else:
        # Integers with missing values are floats, as in pandas and in the model.
        datatype = "FP64"
        data = [None if value is None else float(value) for value in data]
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": data}


def _plain(value: Any) -> Any:
    """A value as JSON can carry it: None, bool, int, float or text; times as ISO 8601."""
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):  # numpy scalars
        value = value.item()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise SlipwayError("invalid", "infinity cannot be sent to a model")
        return None if math.isnan(value) else value
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    raise SlipwayError("invalid", f"a {type(value).__name__} cannot be sent to a model")


def _rows(output: Mapping[str, Any]) -> list[Any]:
    """An output tensor row by row: [n] stays flat, flat data of shape [n, k] is cut into rows of k."""
    data, shape = list(output.get("data", [])), list(output.get("shape", []))
    if len(shape) == 2 and len(data) == shape[0] * shape[1] and not (data and isinstance(data[0], list)):
        width = shape[1]
        return data if width == 1 else [data[i : i + width] for i in range(0, len(data), width)]
    return data
