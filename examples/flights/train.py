"""Train the model: will this flight arrive more than 15 minutes late?

Reads features.parquet, writes model.txt in LightGBM's own text format. The
categories of carrier, origin and dest travel inside that file.
"""

from __future__ import annotations

import os
from typing import Any

# Threads that wait shall sleep. The default is to spin, and on a machine that is
# busy with something else that makes training a hundred times slower. It must
# be set before LightGBM loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import lightgbm as lgb
import pandas as pd
from features import CATEGORICAL, FEATURES, TARGET

import slipway

PARAMS = {
    "learning_rate": 0.1,
    "leaves": 31,
    "min_leaf_rows": 100,  # flights of one bad day look alike, so small leaves learn days, not causes
    "rounds": 100,
    "seed": 7,
    "threads": 2,
}
LOG_EVERY = 10  # rounds


def main() -> None:
    rows = pd.read_parquet("features.parquet")
    booster = fit(rows, slipway.params(**PARAMS))
    booster.save_model("model.txt")

    importance = pd.Series(booster.feature_importance("gain"), FEATURES).sort_values(ascending=False)
    slipway.set_tag("most_important", ", ".join(importance.index[:3]))
    print(f"model.txt  {booster.num_trees()} trees from {len(rows):,} flights")
    print((importance / importance.sum()).head(8).to_string(float_format="{:.1%}".format))


def fit(rows: pd.DataFrame, params: dict[str, Any]) -> lgb.Booster:
    """Train on rows with FEATURES and TARGET; the same rows and params give the same model."""
    x = rows[FEATURES].astype(dict.fromkeys(CATEGORICAL, "category"))
    data = lgb.Dataset(x, rows[TARGET])
    settings = {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": params["learning_rate"],
        "num_leaves": params["leaves"],
        "min_data_in_leaf": params["min_leaf_rows"],
        "seed": params["seed"],
        "num_threads": params["threads"],
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    return lgb.train(
        settings, data, params["rounds"], valid_sets=[data], valid_names=["train"], callbacks=[log_progress]
    )


def log_progress(env: lgb.callback.CallbackEnv) -> None:
    """Log the training loss every LOG_EVERY rounds and after the last one."""
    done = env.iteration + 1
    if done % LOG_EVERY == 0 or done == env.end_iteration:
        _, _, loss, _ = env.evaluation_result_list[0]
        slipway.log_metric("train_log_loss", loss, step=done)


if __name__ == "__main__":
    main()
