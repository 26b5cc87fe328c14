"""Writes the rows and models of the gate's tests.

    python3 story.py          (lightgbm 4.7, pandas 3.1)

Ten weeks of departures whose days share weather. `train.csv` is the first
eight weeks and `test.csv` the last two. champion.txt learns from all of
train.csv, short.txt from its last four days, and swapped.txt is champion.txt
with two columns exchanged, as when a script lists its features in another
order.
"""

import os

import lightgbm
import numpy as np
import pandas as pd

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(5)
DAYS, A_DAY, TEST = 70, 60, 14
FEATURES = ["delay_1h", "delay_2h", "hour", "temp", "carrier"]

day = np.repeat(np.arange(DAYS), A_DAY)
n = len(day)
weather = rng.normal(0, 0.5, DAYS)[day]
hour = rng.integers(5, 23, n)
frame = pd.DataFrame(
    {
        "flight_id": [f"F{i:05d}" for i in range(n)],
        "departed_at": pd.Timestamp("2013-01-01T05:00", tz="UTC") + pd.to_timedelta(day, "D") + pd.to_timedelta(hour - 5, "h"),
        "delay_1h": np.round(np.maximum(0, rng.normal(12, 8, n) + 6 * weather), 2),
        "delay_2h": np.round(np.maximum(0, rng.normal(12, 8, n) + 6 * weather), 2),
        "hour": hour,
        "temp": np.round(rng.normal(5, 6, n), 1),
        "carrier": rng.choice(["AA", "B6", "DL", "UA", "YV"], n, p=[0.25, 0.3, 0.2, 0.22, 0.03]),
    }
)
frame.loc[rng.random(n) < 0.04, "temp"] = np.nan
margin = 0.11 * frame.delay_1h + 0.02 * frame.delay_2h + 0.1 * (hour - 14) + 0.9 * (frame.carrier == "B6") + weather - 2.6
frame["delayed"] = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(int)
frame["departed_at"] = frame.departed_at.dt.strftime("%Y-%m-%dT%H:%M:%SZ")

train, test = frame[day < DAYS - TEST], frame[day >= DAYS - TEST]
train.to_csv(os.path.join(here, "train.csv"), index=False)
test.to_csv(os.path.join(here, "test.csv"), index=False)


def fit(rows, name):
    x = rows[FEATURES].astype({"carrier": pd.CategoricalDtype(["AA", "B6", "DL", "UA", "YV"])})
    settings = {"objective": "binary", "num_leaves": 6, "learning_rate": 0.15, "min_data_in_leaf": 15, "verbosity": -1,
                "deterministic": True, "num_threads": 1, "seed": 1, "min_data_per_group": 20}
    lightgbm.train(settings, lightgbm.Dataset(x, rows.delayed), 30).save_model(os.path.join(here, name))


fit(train, "champion.txt")
fit(train[-4 * A_DAY:], "short.txt")
with open(os.path.join(here, "champion.txt")) as file:
    text = file.read()
# Two names of one length, so that the file's own sizes stay right.
text = text.replace("feature_names=delay_1h delay_2h", "feature_names=delay_2h delay_1h")
with open(os.path.join(here, "swapped.txt"), "w") as file:
    file.write(text)
