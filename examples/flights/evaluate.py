"""Judge the model on the days that it has not seen.

Reads model.txt and test.parquet, writes metrics.json. This is the data
scientist's own look at the model, tracked with the run. What decides about
production is the gate, which scores the same rows itself.
"""

from __future__ import annotations

import json

import lightgbm as lgb
import pandas as pd
from features import CATEGORICAL, FEATURES, TARGET
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

import slipway

MIN_SLICE_ROWS = 500  # fewer flights of a carrier say little about it


def main() -> None:
    rows = pd.read_parquet("test.parquet")
    rows["score"] = score(lgb.Booster(model_file="model.txt"), rows)
    metrics = measure(rows)
    with open("metrics.json", "w") as file:
        json.dump(metrics, file, indent=2)
    slipway.log_metrics(metrics)
    print(f"metrics.json  on {len(rows):,} flights")
    for name, value in metrics.items():
        print(f"  {name:<24} {value:.4f}")


def score(booster: lgb.Booster, rows: pd.DataFrame) -> pd.Series:
    """The probability that each flight is delayed; a category the model never saw counts as missing."""
    return booster.predict(rows[FEATURES].astype(dict.fromkeys(CATEGORICAL, "category")))


def measure(rows: pd.DataFrame) -> dict[str, float]:
    """Metrics over all rows, and the AUC of every carrier that is large enough."""
    y, p = rows[TARGET], rows["score"]
    metrics = {
        "roc_auc": roc_auc_score(y, p),
        "log_loss": log_loss(y, p),
        "average_precision": average_precision_score(y, p),
        "mean_score": p.mean(),
        "delayed_share": y.mean(),
    }
    for carrier, part in rows.groupby("carrier"):
        if len(part) >= MIN_SLICE_ROWS and part[TARGET].nunique() == 2:
            metrics[f"roc_auc.{carrier}"] = roc_auc_score(part[TARGET], part["score"])
    return {name: float(value) for name, value in metrics.items()}


if __name__ == "__main__":
    main()
