"""Write a year of departures as simulations need them: see flights.go.

    python flights.py EXAMPLES/FLIGHTS

The features and the model are the example's own. The model learns January to
March; its probability stands beside every departure of the year. Standard output
gets a line of JSON that names the columns and counts the rows, then the columns
one after the other as little-endian float64.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd

sys.path.insert(0, sys.argv[1])

import features  # noqa: E402
import fetch  # noqa: E402
import train  # noqa: E402


def main() -> None:
    folder = fetch.package_data()
    rows = features.requests(fetch.join(fetch.read_flights(folder), fetch.read_weather(folder)))
    rows = rows[rows[features.TARGET].notna()].reset_index(drop=True)
    day = rows[features.TIME].dt.tz_convert(features.TIMEZONE).dt.tz_localize(None)
    table = pd.DataFrame({"at": (day - pd.Timestamp("2013-01-01")).dt.total_seconds() / 86400})
    table["y"] = rows[features.TARGET].astype("float64")
    known = rows[day < "2013-04-01"].astype({features.TARGET: "int64"})
    train.slipway.log_metric = lambda *_, **__: None
    model = train.fit(known, {**train.PARAMS, "rounds": 50})
    x = rows[features.FEATURES].copy()
    for name in features.CATEGORICAL:
        x[name] = pd.Categorical(x[name].where(x[name].isin(known[name])), sorted(known[name].unique()))
    table["p"] = model.predict(x)
    for name in features.FEATURES:
        if name not in features.CATEGORICAL:
            table[name] = rows[name].astype("float64")
    print(json.dumps({"rows": len(table), "columns": list(table)}), flush=True)
    for name in table:
        sys.stdout.buffer.write(table[name].to_numpy(np.dtype("<f8")).tobytes())


if __name__ == "__main__":
    main()
