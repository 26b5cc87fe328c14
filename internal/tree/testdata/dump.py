"""Writes <name>.dump.json for LightGBM models beside this file: what dump_model says.

    python3 dump.py            # lightgbm >= 3.3
"""

import json
import os

import lightgbm

HERE = os.path.dirname(os.path.abspath(__file__))
for name in ("lgb-binary", "lgb-multiclass", "lgb-absent", "lgb-rf", "lgb-zero", "lgb-none", "lgb-sqrt", "lgb-small"):
    model = lightgbm.Booster(model_file=os.path.join(HERE, name + ".txt"))
    with open(os.path.join(HERE, name + ".dump.json"), "w") as f:
        json.dump(model.dump_model(), f, separators=(",", ":"))
