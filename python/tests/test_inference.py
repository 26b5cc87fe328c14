from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest
from fake_server import Answer, Server

import slipway

REPLY = {
    "id": "p-1",
    "model_name": "delay",
    "model_version": "3",
    "outputs": [
        {"name": "probability", "shape": [2], "datatype": "FP64", "data": [0.25, 0.75]},
        {"name": "shap", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]},
    ],
    "parameters": {"release": "r7"},
}


@pytest.fixture
def endpoint(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("SLIPWAY_INFERENCE", server.url)
    server.answer = lambda request: Answer(REPLY)
    return server


def test_rows_become_columns_and_the_answer_rows(endpoint: Server) -> None:
    rows = [{"carrier": "UA", "distance": 1400, "rain": True, "temp": 39.5}, {"carrier": None, "temp": math.nan}]
    answer = slipway.predict("delay/x", rows, parameters={"explain": True})
    request = endpoint.requests[0]
    assert request.path == "/v2/models/delay%2Fx/infer"
    assert request.json["parameters"] == {"explain": True}
    assert request.json["inputs"] == [
        {"name": "carrier", "shape": [2], "datatype": "BYTES", "data": ["UA", None]},
        {"name": "distance", "shape": [2], "datatype": "FP64", "data": [1400.0, None]},
        {"name": "rain", "shape": [2], "datatype": "BOOL", "data": [True, None]},
        {"name": "temp", "shape": [2], "datatype": "FP64", "data": [39.5, None]},
    ]
    assert (answer.id, answer.model, answer.version) == ("p-1", "delay", "3")
    assert answer.values == [0.25, 0.75]
    assert answer.outputs["shap"] == [[1, 2], [3, 4]]
    assert answer.parameters == {"release": "r7"}


def tables() -> dict[str, Any]:
    at = dt.datetime(2013, 1, 1, 5, tzinfo=dt.timezone.utc)
    columns = {"n": [1, 2], "at": [at, None]}
    out: dict[str, Any] = {"columns": columns, "records": [{"n": 1, "at": at}, {"n": 2}]}
    try:
        import pandas
        import pyarrow

        out["pandas"] = pandas.DataFrame(columns)
        out["pyarrow"] = pyarrow.table(columns)
        out["nullable"] = pandas.DataFrame({"n": pandas.array([1, 2], "Int64"), "at": columns["at"]})
    except ImportError:
        pass
    return out


@pytest.mark.parametrize("name", tables())
def test_any_table(endpoint: Server, name: str) -> None:
    slipway.predict("delay", tables()[name])
    n, at = endpoint.requests[0].json["inputs"]
    assert n == {"name": "n", "shape": [2], "datatype": "INT64", "data": [1, 2]}
    assert at == {"name": "at", "shape": [2], "datatype": "BYTES", "data": ["2013-01-01T05:00:00+00:00", None]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "at least one row"),
        ({"a": [1], "b": [1, 2]}, "columns of one length"),
        ({"a": []}, "at least one row"),
        ("text", "rows cannot be a str"),
        ({"a": ["x", 1]}, "column a mixes text and numbers"),
        ({"a": [math.inf]}, "infinity"),
        ({"a": [object()]}, "a object cannot be sent"),
    ],
)
def test_mistakes_are_found_before_anything_is_sent(endpoint: Server, rows: Any, message: str) -> None:
    with pytest.raises(slipway.SlipwayError, match=message) as caught:
        slipway.predict("delay", rows)
    assert caught.value.code == "invalid" and not endpoint.requests


def test_error_of_the_protocol(endpoint: Server) -> None:
    endpoint.answer = lambda request: Answer({"error": "column carrier is missing"}, 400)
    with pytest.raises(slipway.SlipwayError, match="column carrier is missing"):
        slipway.predict("delay", [{"a": 1}], url=endpoint.url)


def test_labels(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    monkeypatch.setenv("SLIPWAY_PROJECT", "my flights")
    slipway.label("p-1", 1, dt.datetime(2013, 1, 2, tzinfo=dt.timezone.utc))
    slipway.label(endpoint="delay", key="a", value=numpy.int64(0), time="2013-01-02T00:00:00Z")
    assert {r.path for r in server.requests} == {"/api/v1/projects/my%20flights/labels"}
    assert [r.json["labels"] for r in server.requests] == [
        [{"prediction_id": "p-1", "value": 1, "time": "2013-01-02T00:00:00+00:00"}],
        [{"endpoint": "delay", "key": "a", "value": 0, "time": "2013-01-02T00:00:00Z"}],
    ]


def test_many_labels_are_cut(server: Server) -> None:
    rows = ({"endpoint": "delay", "key": str(i), "value": i % 2} for i in range(10_001))
    assert slipway.labels(rows, project="p") == 10_001
    assert [len(r.json["labels"]) for r in server.requests] == [10_000, 1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prediction_id": "p"}, "label 1 has no value"),
        ({"value": 1}, "must name a prediction_id, or an endpoint and a key"),
        ({"value": 1, "endpoint": "e"}, "must name"),
        ({"value": 1, "endpoint": "e", "key": "k", "prediction_id": "p"}, "must name"),
        ({"value": 1, "prediction_id": "p", "tiem": 3}, "unknown field tiem"),
        ({"value": 1, "prediction_id": "p", "time": dt.datetime(2013, 1, 1)}, "no time zone"),
    ],
)
def test_bad_label_stops_all(server: Server, row: dict[str, Any], message: str) -> None:
    with pytest.raises(slipway.SlipwayError, match=message):
        slipway.labels([{"prediction_id": "p", "value": 0}, row], project="p")
    assert not server.requests


def test_label_needs_a_project(server: Server) -> None:
    with pytest.raises(slipway.SlipwayError, match="no project is named"):
        slipway.label("p", 1)
