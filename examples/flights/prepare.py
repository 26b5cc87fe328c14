"""Turn the raw feed into rows to train on and rows to judge the model by.

The last `test_days` days go to test.parquet and everything before them to
features.parquet. They are two files, so that training cannot see what it will
be judged by: in a pipeline, a step sees the files that it declares.
"""

from __future__ import annotations

import features
import pandas as pd

import slipway

PARAMS = {
    "test_days": 14,  # the days at the end that are kept for the gate
    "train_days": 0,  # how many days before them to train on; 0 means all
}


def main() -> None:
    params = slipway.params(**PARAMS)
    flights = slipway.dataset("flights")
    rows = prepare(flights.pandas(features.COLUMNS, engine="pyarrow"))
    train, test = split(rows, params["test_days"], params["train_days"], flights.window.end)
    for name, part in (("features.parquet", train), ("test.parquet", test)):
        if part.empty:
            raise SystemExit(f"no rows are left for {name}: the feed is shorter than {params['test_days']} days")
        part.to_parquet(name, index=False)
        first, last = (f"{when.tz_convert(features.TIMEZONE):%Y-%m-%d}" for when in part[features.TIME].iloc[[0, -1]])
        print(f"{name}  {len(part):,} flights from {first} to {last}, {part[features.TARGET].mean():.1%} delayed")


def prepare(flights: pd.DataFrame) -> pd.DataFrame:
    """Key, time, features and target of the flights that arrived, in event-time order."""
    rows = features.build(flights)
    rows[features.TARGET] = features.label(flights)
    rows = rows[rows[features.TARGET].notna()].astype({features.TARGET: "int64"})
    return rows.sort_values([features.TIME, features.KEY], ignore_index=True)


def split(
    rows: pd.DataFrame, test_days: int, train_days: int, end: pd.Timestamp | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cut rows at midnight in New York, `test_days` before the end.

    `end` is the end of the window, else of the last day that has a flight.
    """
    local = rows[features.TIME].dt.tz_convert(features.TIMEZONE)
    stop = local.max().normalize() + pd.DateOffset(days=1)
    if end is not None:
        stop = pd.Timestamp(end).tz_convert(features.TIMEZONE)
    # A DateOffset counts days on the calendar, so that midnight stays midnight
    # over a change of the clocks.
    cut = stop - pd.DateOffset(days=test_days)
    begin = cut - pd.DateOffset(days=train_days) if train_days else local.min()
    return rows[(local >= begin) & (local < cut)], rows[(local >= cut) & (local < stop)]


if __name__ == "__main__":
    main()
