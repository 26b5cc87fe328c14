"""Writes attribution.json: interventional SHAP values by shap, in the spaces of margins
and of probabilities, and interactions by XGBoost, for models beside this file.

    python3 attribution.py            # shap >= 0.5, lightgbm >= 4, xgboost >= 3, numpy
"""

import json
import os

import lightgbm as lgb
import numpy as np
import shap
import xgboost as xgb

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(11)


def table(n, width, gaps):
    x = rng.normal(size=(n, width))
    x[rng.random(x.shape) < gaps] = np.nan
    return x


def interventional(model, x, background, space):
    e = shap.TreeExplainer(model, background, feature_perturbation="interventional", model_output=space)
    values = np.asarray(e.shap_values(x, check_additivity=False), dtype=float)
    return {"base": float(np.ravel(e.expected_value)[0]), "value": values.ravel().tolist()}


def number(a):
    return [None if np.isnan(v) else v for v in np.ravel(a).tolist()]


def main():
    out = {}
    for name, kind, width in (("xgb-binary", "xgb", 8), ("xgb-reg", "xgb", 8), ("lgb-wide", "lgb", 40)):
        # lgb-wide was trained without gaps: LightGBM then takes NaN for zero, which shap does not know.
        gaps = 0.05 if kind == "xgb" else 0.0
        x, background = table(20, width, gaps), table(70, width, gaps)
        if kind == "xgb":
            # The rows are float32 numbers, so that both sides compare the same.
            x, background = x.astype("f4").astype(float), background.astype("f4").astype(float)
            x[:, 6], background[:, 6] = rng.integers(0, 90, 20), rng.integers(0, 90, 70)
            model = xgb.Booster(model_file=os.path.join(HERE, name + ".json"))
        else:
            model = lgb.Booster(model_file=os.path.join(HERE, name + ".txt"))
        g = {"x": number(x), "background": number(background), "margin": interventional(model, x, background, "raw")}
        if name == "xgb-binary":
            g["probability"] = interventional(model, x, background, "probability")
        if kind == "xgb":
            d = xgb.DMatrix(x, feature_names=model.feature_names)
            g["interaction"] = model.predict(d, pred_interactions=True).astype(float).ravel().tolist()
        out[name] = g
    with open(os.path.join(HERE, "attribution.json"), "w") as f:
        json.dump(out, f)


if __name__ == "__main__":
    main()
