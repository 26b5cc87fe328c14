"""Reads a model form back, as the server does, to compare its answers with the estimator's."""

from __future__ import annotations

import base64
import math
from typing import Any

from .model_form_estimator import LEFT, SET, SET_RIGHT

CHECKED_ROWS = 500
TOLERANCE = 1e-6


def difference(model: Any, form: dict[str, Any], sample: Any) -> str:
    """Why the form does not answer as the model does; empty when it does, to 1e-6."""
    import numpy as np

    rows = sample[:CHECKED_ROWS]
    if form["task"] == "regression":
        want = np.asarray(model.predict(rows), dtype=float).reshape(len(rows), -1)
    else:
        want = np.asarray(model.predict_proba(rows), dtype=float)
    got = predict(form, rows)
    if got.shape != want.shape:
        return f"it gives {got.shape[1]} outputs instead of {want.shape[1]}"
    error = np.abs(got - want) / np.maximum(1, np.abs(want))
    if not np.isfinite(error).all() or error.max() > TOLERANCE:
        return f"its answers differ by up to {np.nanmax(error):.2g}"
    return ""


def matrix(form: dict[str, Any], sample: Any) -> Any:
    """The features of rows, as the model takes them."""
    import numpy as np

    columns = []
    for i, _ in enumerate(form["columns"]):
        values = sample.iloc[:, i].tolist() if hasattr(sample, "iloc") else np.asarray(sample)[:, i].tolist()
        columns.append([_value(v) for v in values])
    out = np.empty((len(sample), len(form["features"])))
    for j, feature in enumerate(form["features"]):
        out[:, j] = [_steps(v, feature["steps"]) for v in columns[feature["column"]]]
    return out


def _value(v: Any) -> Any:
    from .model_form import _plain

    return _plain(v)


def _steps(v: Any, steps: list[list[Any]]) -> float:
    for op, *a in steps:
        if op == "fill":
            v = a[0] if v is None else v
        elif op == "missing":
            v = float(v is None)
        elif op == "equals":
            v = float(v == a[0])
        elif op == "code":
            v = a[2] if v is None else next((float(i) for i, w in enumerate(a[0]) if w == v), a[1])
        elif v is not None:
            v = _number(op, v, a)
            v = None if math.isnan(v) else v
    return math.nan if v is None else v


def _number(op: str, v: float, a: list[float]) -> float:
    import numpy as np

    if op in ("log1p", "log", "exp", "sqrt", "abs"):
        with np.errstate(all="ignore"):
            return float(getattr(np, op)(v))
    if op == "clip":
        return min(max(v, a[0]), a[1])
    return {"subtract": v - a[0], "add": v + a[0], "multiply": v * a[0], "divide": v / a[0] if a[0] else math.nan}[op]


def predict(form: dict[str, Any], sample: Any) -> Any:
    """Rows by outputs; a binary classifier has both classes."""
    import numpy as np

    x = matrix(form, sample)
    if "library" in form:
        y = _library(form["library"]["text"], x)
    elif "linear" in form:
        y = _link(form["linear"]["link"], x @ np.array(form["linear"]["weight"]).T + form["linear"]["intercept"], 1.0)
    else:
        t = form["trees"]
        y = _link(
            t["link"],
            _trees(t, x.astype(np.float32).astype(float) if t.get("round32") else x),
            t.get("coefficient", 1.0),
        )
    y = y.reshape(len(x), -1)
    return np.column_stack([1 - y, y]) if form["task"] == "binary" else y


def _library(text: str, x: Any) -> Any:
    if text.startswith("tree\n"):
        import lightgbm

        return lightgbm.Booster(model_str=text).predict(x)
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(text.encode()))
    return booster.predict(xgboost.DMatrix(x, feature_names=booster.feature_names, feature_types=booster.feature_types,
                                           enable_categorical=True))  # fmt: skip


def _link(link: str, m: Any, coefficient: float) -> Any:
    import numpy as np

    if link in ("sigmoid", "ovr"):
        m = 1 / (1 + np.exp(-coefficient * m))
        return m / m.sum(axis=1, keepdims=True) if link == "ovr" else m
    if link == "softmax":
        m = np.exp(m - m.max(axis=1, keepdims=True))
        return m / m.sum(axis=1, keepdims=True)
    return np.exp(m) if link == "exp" else m


def _trees(t: dict[str, Any], x: Any) -> Any:
    import numpy as np

    out = np.tile(np.array(t["base"]), (len(x), 1))
    for tree in t["tree"]:
        a = {
            k: np.frombuffer(base64.b64decode(tree[k]), dtype=d)
            for k, d in (("feature", "<i4"), ("left", "<i4"), ("right", "<i4"), ("number", "<f8"), ("flag", "u1"))
        }
        at = np.zeros(len(x), dtype=int)
        while True:
            live = np.flatnonzero(a["feature"][at] >= 0)
            if not len(live):
                break
            n = at[live]
            v, flag = x[live, a["feature"][n]], a["flag"][n]
            left = v <= a["number"][n]
            for i in np.flatnonzero(flag & SET):
                inside = v[i] in tree["sets"][int(a["number"][n[i]])]
                left[i] = inside != bool(flag[i] & SET_RIGHT)
            left = np.where(np.isnan(v), (flag & LEFT) != 0, left)
            at[live] = np.where(left, a["left"][n], a["right"][n])
        out[:, tree["output"]] += a["number"][at]
    return out / (len(t["tree"]) / t["outputs"]) if t.get("average") else out
