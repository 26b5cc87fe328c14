from __future__ import annotations

import datetime as dt
import json
import pathlib
from typing import Any

import pytest

import slipway

ROWS = ["2013-03-09T23:00:00Z", "2013-03-10T12:00:00Z", "2013-03-11T12:00:00Z"]


@pytest.fixture
def feed(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "flights"
    folder.mkdir()
    for i, at in enumerate(ROWS):
        (folder / f"{i}.csv").write_text(f"id,at\n{i},{at}\n")
    (folder / "README.md").write_text("not data")
    (folder / ".hidden.csv").write_text("id\n9\n")
    return folder


def given(monkeypatch: pytest.MonkeyPatch, **entry: Any) -> None:
    monkeypatch.setenv("SLIPWAY_INPUTS", json.dumps({"flights": {"path": "flights", **entry}}))


def ids(data: slipway.Dataset) -> list[int]:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    by_pandas = data.pandas()["id"].to_list()
    assert data.arrow()["id"].to_pylist() == by_pandas
    return list(by_pandas)


def test_input_of_a_step(feed: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, version=3, files=["2.csv", "0.csv"])
    data = slipway.dataset("flights")
    assert (data.version, [f.name for f in data.files]) == (3, ["2.csv", "0.csv"])
    assert ids(data) == [2, 0]


def test_files_are_found_when_none_are_listed(feed: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch)
    assert [f.name for f in slipway.dataset("flights").files] == ["0.csv", "1.csv", "2.csv"]


@pytest.mark.parametrize("place", ["flights", "flights.csv", "data/flights", "data/flights.csv"])
def test_by_hand(tmp_path: pathlib.Path, place: str) -> None:
    path = tmp_path / place
    if path.suffix:
        path.parent.mkdir(exist_ok=True)
    else:
        path.mkdir(parents=True)
        path /= "a.csv"
    path.write_text("id\n1\n")
    data = slipway.dataset("flights")
    assert data.version is None and ids(data) == [1]


@pytest.mark.parametrize(
    ("window", "own", "want"),
    [
        (None, None, [0, 1, 2]),
        ({"from": ROWS[1], "to": ROWS[2]}, None, [1]),  # half open
        ({"from": ROWS[1], "to": None}, None, [1, 2]),
        ({"from": ROWS[1]}, (None, ROWS[2]), [1]),  # narrowed
        ({"from": ROWS[1]}, (ROWS[0], None), [1, 2]),  # never widened
        (None, (dt.datetime(2013, 3, 10, tzinfo=dt.timezone.utc), None), [1, 2]),
        # Midnight in New York is 05:00 UTC on the 10th.
        (None, ("2013-03-10", "2013-03-11"), [1]),
    ],
)
def test_window(feed: pathlib.Path, monkeypatch: pytest.MonkeyPatch, window: Any, own: Any, want: list[int]) -> None:
    given(monkeypatch, window=window, time="at", timezone="America/New_York")
    assert ids(slipway.dataset("flights", own)) == want


def test_naive_times_are_read_in_the_project_time_zone(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 02:30 on the 10th was skipped by the clocks; 01:30 on 3 November came twice.
    times = ["2013-03-10T01:30:00", "2013-03-10T02:30:00", "2013-11-03T01:30:00"]
    (tmp_path / "flights.csv").write_text("id,at\n" + "".join(f"{i},{t}\n" for i, t in enumerate(times)))
    options = {"time": "at", "timezone": "America/New_York"}
    assert ids(slipway.dataset("flights", ("2013-03-10T07:00:00Z", None), **options)) == [1, 2]
    assert ids(slipway.dataset("flights", ("2013-11-03T06:30:00Z", None), **options)) == [2]


def test_parquet_and_json_lines(tmp_path: pathlib.Path) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"id": [1, 2]})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "b.jsonl", orient="records", lines=True)
    assert ids(slipway.dataset("a")) == ids(slipway.dataset("b")) == [1, 2]


def test_polars(feed: pathlib.Path) -> None:
    pytest.importorskip("polars")
    assert slipway.dataset("flights").polars()["id"].to_list() == [0, 1, 2]


@pytest.mark.parametrize(
    ("inputs", "window", "code", "message"),
    [
        ("{}", None, "not_found", "there is no dataset gone .put it at ./gone or ./data/gone"),
        ('{"other": {"path": "."}}', None, "not_found", "the step's inputs are other"),
        ("{", None, "invalid", "SLIPWAY_INPUTS is not JSON"),
        ("[]", None, "invalid", "not a JSON object"),
        ('{"gone": {}}', None, "invalid", "nothing useful about gone"),
        ('{"gone": {"path": "empty"}}', None, "not_found", "no CSV, Parquet or JSON file"),
        ('{"gone": {"path": "x.csv"}}', ("tomorrow", None), "invalid", "'tomorrow' is not a time"),
        ('{"gone": {"path": "x.csv", "timezone": "Mars"}}', ("2013-01-01", None), "invalid", "is not a time"),
    ],
)
def test_mistakes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, inputs: str, window: Any, code: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.csv").write_text("id\n1\n")
    monkeypatch.setenv("SLIPWAY_INPUTS", inputs)
    with pytest.raises(slipway.SlipwayError, match=message) as caught:
        slipway.dataset("gone", window)
    assert caught.value.code == code


def test_window_needs_a_time_column(feed: pathlib.Path) -> None:
    for options, message in (({}, "no time column"), ({"time": "when"}, "no column when")):
        data = slipway.dataset("flights", ("2013-01-01", None), **options)
        for read in (data.pandas, data.arrow):
            with pytest.raises(slipway.SlipwayError, match=message):
                read()


def test_the_last_days(feed: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, time="at")
    assert ids(slipway.dataset("flights", "1d")) == [1, 2]
    assert ids(slipway.dataset("flights", "12h")) == [2]
    given(monkeypatch, time="at", window={"from": ROWS[1]})
    assert ids(slipway.dataset("flights", "9w")) == [1, 2]
    with pytest.raises(slipway.SlipwayError, match="not a length of time"):
        slipway.dataset("flights", "90 days")


def test_only_what_is_asked_for_is_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    begin = dt.datetime(2013, 1, 1)
    times = [begin + dt.timedelta(hours=i) for i in range(24 * 100)]
    table = pa.table({"id": range(len(times)), "at": times, "wide": ["x" * 50] * len(times)})
    parquet.write_table(table, tmp_path / "hours.parquet", row_group_size=24)
    data = slipway.dataset("hours", "5d", time="at", timezone="America/New_York")
    assert ids(data) == list(range(24 * 100 - 5 * 24 - 1, 24 * 100))
    assert data.arrow(["id"]).column_names == ["id"]
    assert list(data.pandas(["wide", "id"]).columns) == ["wide", "id"]
    (_, operator, bound), = data._coarse(tmp_path / "hours.parquet")
    assert operator == ">=" and times[-1] - bound < dt.timedelta(days=7)
    given = slipway.dataset("hours", ("2013-02-01", "2013-02-02"), time="at")
    assert ids(given) == list(range(31 * 24, 32 * 24))


def test_params(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slipway.params(rate=0.05) == {"rate": 0.05}
    monkeypatch.setenv("SLIPWAY_PARAMS", '{"rate": 1, "leaves": 15, "on": true}')
    got = slipway.params(rate=0.05, leaves=31, seed=7, on=False)
    assert got == {"rate": 1.0, "leaves": 15, "seed": 7, "on": True}
    assert [type(v) for v in got.values()] == [float, int, int, bool]
