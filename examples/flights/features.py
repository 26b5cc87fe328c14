"""Features of a departure, from what is known an hour before it is scheduled.

build() is the only place where features are computed. Training hands it months
of the raw feed; serving hands it the flights to score together with the last
hours of the feed. Both get the same numbers, which test_features.py proves.

    python features.py data/flights --from 2013-04-01 --out requests.parquet

writes the requests that a live service would have received, in event-time
order, with the outcome that was known later for the flights that landed.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import pandas as pd

TIMEZONE = "America/New_York"
KEY, TIME, TARGET = "flight_id", "departed_at", "delayed"
CATEGORICAL = ["carrier", "origin", "dest"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
FEATURES = [*CATEGORICAL, "distance", "hour", "weekday", *WEATHER, "recent_delay"]
# What this project reads of the raw feed.
COLUMNS = [KEY, TIME, *CATEGORICAL, "distance", "weather_at", *WEATHER, "dep_delay", "arr_delay"]

LATE_MINUTES = 15  # a flight is delayed when it arrives later than this
NOTICE_MINUTES = 60  # a flight is scored this long before its scheduled departure
MEMORY_MINUTES = 180  # how far back from its departure the airport's delays count


def build(flights: pd.DataFrame) -> pd.DataFrame:
    """Compute key, time and FEATURES of every row of the raw feed.

    The result has the rows and the index of `flights`. The order of the rows
    does not matter, and neither do rows of flights that leave later: a flight's
    features depend on nothing that was unknown an hour before it was scheduled.
    """
    departed_at = pd.to_datetime(flights[TIME], utc=True)
    local = departed_at.dt.tz_convert(TIMEZONE)
    out = pd.DataFrame({KEY: flights[KEY], TIME: departed_at}, index=flights.index)
    for column in CATEGORICAL:
        out[column] = flights[column]
    out["distance"] = flights["distance"].astype("float64")
    # People plan by the clock on the wall, so the hour is local also on the
    # days on which the clocks change.
    out["hour"] = local.dt.hour + local.dt.minute / 60
    out["weekday"] = local.dt.day_of_week.astype("float64")
    for column in WEATHER:
        out[column] = flights[column].astype("float64")
    out["recent_delay"] = recent_delay(departed_at, flights["origin"], flights["dep_delay"])
    return out[[KEY, TIME, *FEATURES]]


def recent_delay(departed_at: pd.Series, origin: pd.Series, dep_delay: pd.Series) -> np.ndarray:
    """Mean departure delay, in minutes, of the airport's recent departures.

    Counted are the flights that really left the same airport in the half-open
    interval from three hours to one hour before the scheduled departure. The
    actual departure (scheduled time plus delay) decides, not the schedule:
    a delay is known once the aircraft has left, and a flight that is still
    waiting must not count, even though it was scheduled in the interval.

    Cancelled flights have no delay and never left, so they do not count. When a
    cancellation was announced is not in the feed, hence "how many were
    cancelled lately" cannot be a feature. Missing when nothing left.
    """
    minute = minutes_since_epoch(departed_at)
    delay = dep_delay.astype("float64").to_numpy()
    airport = origin.astype(object).to_numpy()
    mean = np.full(len(minute), np.nan)
    for name in pd.unique(origin.dropna()):
        rows = airport == name
        left = rows & ~np.isnan(delay)
        order = np.argsort(minute[left] + delay[left], kind="stable")
        left_at = (minute[left] + delay[left])[order]
        # Delays are whole minutes, so these sums are exact, and a mean does
        # not depend on which other rows are present.
        total = np.concatenate([[0.0], np.cumsum(delay[left][order])])
        first = np.searchsorted(left_at, minute[rows] - MEMORY_MINUTES, side="left")
        last = np.searchsorted(left_at, minute[rows] - NOTICE_MINUTES, side="left")
        count = last - first
        mean[rows] = np.where(count > 0, (total[last] - total[first]) / np.maximum(count, 1), np.nan)
    return mean


def minutes_since_epoch(times: pd.Series) -> np.ndarray:
    """Whole minutes in UTC, whatever resolution pandas keeps the times in."""
    return times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[m]").astype("int64")


def label(flights: pd.DataFrame) -> pd.Series:
    """1 when the flight arrived more than 15 minutes late, 0 when not.

    Missing for flights that were cancelled or diverted: they never arrived.
    """
    delay = flights["arr_delay"].astype("Float64")
    return (delay > LATE_MINUTES).astype("Int64").rename(TARGET)


def read(paths: list[pathlib.Path]) -> pd.DataFrame:
    """Read files of the raw feed, in the order of their names."""
    if not paths:
        raise SystemExit("there are no files of the feed: run python fetch.py")
    parts = [pd.read_csv(path, usecols=COLUMNS, engine="pyarrow") for path in sorted(paths)]
    return pd.concat(parts, ignore_index=True)


def requests(flights: pd.DataFrame) -> pd.DataFrame:
    """The requests of a live service, with the outcome where there is one.

    Flights that were cancelled later are asked about too; nobody knew. The time
    of the weather observation rides along, so that a feed that stands still can
    be seen; it is not a feature.
    """
    out = build(flights)
    out["weather_at"] = pd.to_datetime(flights["weather_at"], utc=True)
    out[TARGET] = label(flights)
    return out.sort_values([TIME, KEY], ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("feed", type=pathlib.Path, help="folder with the CSV files of the feed")
    parser.add_argument("--from", dest="begin", default="2013-01-01", help="first day, New York (default: %(default)s)")
    parser.add_argument("--to", dest="end", default="2014-01-01", help="day after the last (default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("requests.parquet"))
    args = parser.parse_args()

    rows = requests(read(list(args.feed.glob("*.csv"))))
    begin, end = (pd.Timestamp(day, tz=TIMEZONE) for day in (args.begin, args.end))
    rows = rows[(rows[TIME] >= begin) & (rows[TIME] < end)]
    rows.to_parquet(args.out, index=False)
    print(f"{args.out}  {len(rows):,} requests, {rows[TARGET].notna().sum():,} with an outcome")


if __name__ == "__main__":
    main()
