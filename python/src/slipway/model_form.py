"""Fitted estimators in Slipway's own form, which the server answers without Python.

The form is JSON (docs/model-format.md): columns, features that are each made of
one column by a few steps, and trees or weights. What does not fit raises
Unsupported, which says why; the caller then keeps the estimator for a worker.
"""

from __future__ import annotations

import base64
import math
from typing import Any

VERSION = 1


class Unsupported(Exception):
    """The reason for which an estimator has no exact form."""


def describe(model: Any, sample: Any) -> dict[str, Any]:
    """The form of a fitted estimator. `sample` is a DataFrame or matrix like the training rows."""
    import numpy as np

    names, kinds = _columns(model, sample)
    form: dict[str, Any] = {
        "slipway_model": VERSION,
        "source": type(model).__module__.split(".")[0] + " " + type(model).__name__,
        "columns": [{"name": n, "type": k} for n, k in zip(names, kinds, strict=True)],
    }
    none = _none(sample, kinds)
    for i in none:
        form["columns"][i]["none"] = True  # for the imputers below
    features: list[dict[str, Any]] = [{"column": i, "name": n, "steps": []} for i, n in enumerate(names)]
    estimator = model
    while type(estimator).__name__ in ("Pipeline",):
        for _, step in estimator.steps[:-1]:
            features = _transform(step, features, form["columns"])
        estimator = estimator.steps[-1][1]
    features = _final(estimator, form, features, sample)
    text = [f for f in features if kinds[f["column"]] == "text" and not f["steps"]]
    if text:
        raise Unsupported(f"column {text[0]['name']!r} is text that no step turns into numbers")
    form["features"] = features
    for i in none:
        del form["columns"][i]["none"]
    if "linear" in form:
        from .model_form_check import matrix

        form["linear"]["mean"] = [float(v) for v in np.asarray(matrix(form, sample)).mean(axis=0)]
        if not all(math.isfinite(v) for v in form["linear"]["mean"]):
            raise Unsupported("a linear model met a missing value in the sample")
    return form


def _columns(model: Any, sample: Any) -> tuple[list[str], list[str]]:
    """Names and kinds (float or text) of the columns of the sample."""
    import numpy as np

    if not hasattr(sample, "columns"):
        x = np.asarray(sample)
        if x.ndim != 2 or x.dtype.kind not in "iufb":
            raise Unsupported("the sample is neither a DataFrame nor a matrix of numbers")
        return [f"x{i}" for i in range(x.shape[1])], ["float"] * x.shape[1]
    kinds = []
    for name in sample.columns:
        dtype = sample[name].dtype
        if dtype.name == "category":
            dtype = dtype.categories.dtype
        if getattr(dtype, "kind", "O") in "iufb":
            kinds.append("float")
        elif dtype.kind == "O" or dtype.name.startswith("str"):
            kinds.append("text")
        else:
            raise Unsupported(f"column {name!r} is {dtype}, neither numbers nor text")
    return [str(n) for n in sample.columns], kinds


def _none(sample: Any, kinds: list[str]) -> list[int]:
    """The text columns in which None, which scikit-learn's imputers leave alone, stands for a missing value."""
    out = []
    for i, kind in enumerate(kinds):
        if kind != "text" or sample.iloc[:, i].dtype.kind != "O":
            continue
        gaps = [v is None for v in sample.iloc[:, i].tolist() if _plain(v) is None]
        if any(gaps) and not all(gaps):
            raise Unsupported(f"column {sample.columns[i]!r} has both None and NaN for a missing value")
        if gaps and gaps[0]:
            out.append(i)
    return out


def _plain(value: Any) -> Any:
    """A category as JSON holds it: text, a number, or None for a missing one."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, str):
        return value
    if type(value).__name__ == "NAType":
        return None
    raise Unsupported(f"the category {value!r} is neither text nor a number")


def _add(feature: dict[str, Any], *steps: list[Any], name: str = "") -> dict[str, Any]:
    return {"column": feature["column"], "name": name or feature["name"], "steps": [*feature["steps"], *steps]}


def _transform(step: Any, features: list[dict[str, Any]], columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a fitted transformer makes of features."""
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return features
    kind = type(step).__name__
    if not type(step).__module__.startswith(("sklearn.", "imblearn.pipeline")):
        raise Unsupported(f"{kind} is not one of scikit-learn's own transformers")
    known = {
        "Pipeline": _pipeline, "ColumnTransformer": _column_transformer, "StandardScaler": _standard,
        "MinMaxScaler": _min_max, "MaxAbsScaler": _max_abs, "RobustScaler": _robust, "SimpleImputer": _impute,
        "MissingIndicator": _indicator, "OneHotEncoder": _one_hot, "OrdinalEncoder": _ordinal,
        "FunctionTransformer": _function, "VarianceThreshold": _select, "SelectKBest": _select, "FeatureUnion": _union,
    }  # fmt: skip
    if kind not in known:
        raise Unsupported(f"the transformer {kind} has no exact form")
    return known[kind](step, features, columns)


def _pipeline(step: Any, features: list[Any], columns: list[Any]) -> list[Any]:
    for _, inner in step.steps:
        features = _transform(inner, features, columns)
    return features


def _union(step: Any, features: list[Any], columns: list[Any]) -> list[Any]:
    if step.transformer_weights:
        raise Unsupported("a FeatureUnion with weights has no exact form")
    return [
        f for _, inner in step.transformer_list if not _dropped(inner) for f in _transform(inner, features, columns)
    ]


def _dropped(inner: Any) -> bool:
    return isinstance(inner, str) and inner == "drop"


def _column_transformer(step: Any, features: list[Any], columns: list[Any]) -> list[Any]:
    if step.transformer_weights:
        raise Unsupported("a ColumnTransformer with weights has no exact form")
    names = getattr(step, "feature_names_in_", None)
    by_name = {str(n): i for i, n in enumerate(names)} if names is not None else {}
    out: list[Any] = []
    for _, inner, chosen in step.transformers_:
        if _dropped(inner):
            continue
        chosen = _chosen(chosen, by_name, len(features))
        out += _transform(inner, [features[i] for i in chosen], columns)
    return out


def _chosen(chosen: Any, by_name: dict[str, int], width: int) -> list[int]:
    import numpy as np

    if isinstance(chosen, slice):
        if isinstance(chosen.start, str) or isinstance(chosen.stop, str):
            raise Unsupported("a slice of column names has no exact form")
        return list(range(width))[chosen]
    if isinstance(chosen, str) or not hasattr(chosen, "__len__"):
        chosen = [chosen]
    chosen = list(np.asarray(chosen, dtype=object))
    if len(chosen) == width and all(isinstance(c, bool | np.bool_) for c in chosen):
        return [i for i, c in enumerate(chosen) if c]
    return [by_name[c] if isinstance(c, str) else range(width)[int(c)] for c in chosen]


def _standard(step: Any, features: list[Any], _: Any) -> list[Any]:
    out = []
    for i, f in enumerate(features):
        steps: list[list[Any]] = []
        if step.with_mean:
            steps.append(["subtract", float(step.mean_[i])])
        if step.with_std:
            steps.append(["divide", float(step.scale_[i])])
        out.append(_add(f, *steps))
    return out


def _min_max(step: Any, features: list[Any], _: Any) -> list[Any]:
    out = []
    for i, f in enumerate(features):
        g = _add(f, ["multiply", float(step.scale_[i])], ["add", float(step.min_[i])])
        out.append(_add(g, ["clip", *map(float, step.feature_range)]) if step.clip else g)
    return out


def _max_abs(step: Any, features: list[Any], _: Any) -> list[Any]:
    return [_add(f, ["divide", float(step.scale_[i])]) for i, f in enumerate(features)]


def _robust(step: Any, features: list[Any], _: Any) -> list[Any]:
    out = []
    for i, f in enumerate(features):
        steps: list[list[Any]] = []
        if step.with_centering:
            steps.append(["subtract", float(step.center_[i])])
        if step.with_scaling:
            steps.append(["divide", float(step.scale_[i])])
        out.append(_add(f, *steps))
    return out


def _impute(step: Any, features: list[Any], columns: list[Any]) -> list[Any]:
    if _plain(step.missing_values) is not None:
        raise Unsupported(f"an imputer of {step.missing_values!r}, which is no missing value, has no exact form")
    out = []
    for f, value in zip(features, step.statistics_, strict=True):
        value = _plain(value)
        if value is None:
            if step.keep_empty_features:
                raise Unsupported("an imputer of a column without any value has no exact form")
            continue  # scikit-learn drops the column
        left = columns[f["column"]].get("none") and step.missing_values is not None and not f["steps"]
        out.append(f if left else _add(f, ["fill", value]))
    return out + (_indicator(step.indicator_, features, columns) if step.add_indicator else [])


def _indicator(step: Any, features: list[Any], columns: list[Any]) -> list[Any]:
    none = any(columns[f["column"]].get("none") for f in features)
    if _plain(step.missing_values) is not None or none:
        raise Unsupported("an indicator of anything but missing values has no exact form")
    return [_add(features[i], ["missing"], name=features[i]["name"] + "_missing") for i in step.features_]


def _known(feature: dict[str, Any], values: list[Any], columns: list[Any]) -> None:
    """An encoder that refuses unknown values makes the column refuse them."""
    if any(s[0] != "fill" for s in feature["steps"]):
        raise Unsupported("an encoder behind other steps that refuses unknown values has no exact form")
    column = columns[feature["column"]]
    allowed = [*values, None] if feature["steps"] else list(values)
    column["known"] = [v for v in column["known"] if v in allowed] if "known" in column else allowed


def _one_hot(step: Any, features: list[Any], columns: list[Any]) -> list[Any]:
    if getattr(step, "_infrequent_enabled", False):
        raise Unsupported("a OneHotEncoder that groups infrequent categories has no exact form")
    drop = getattr(step, "drop_idx_", None)
    out = []
    for i, f in enumerate(features):
        values = [_plain(v) for v in step.categories_[i]]
        if step.handle_unknown == "error":
            _known(f, values, columns)
        for k, v in enumerate(values):
            if drop is None or drop[i] is None or drop[i] != k:
                out.append(_add(f, ["equals", v], name=f"{f['name']}={v}"))
    return out


def _ordinal(step: Any, features: list[Any], columns: list[Any]) -> list[Any]:
    if getattr(step, "_infrequent_enabled", False):
        raise Unsupported("an OrdinalEncoder that groups infrequent categories has no exact form")
    out = []
    for i, f in enumerate(features):
        values = [_plain(v) for v in step.categories_[i]]
        unknown = None
        if step.handle_unknown == "error":
            _known(f, values, columns)
        else:
            unknown = _plain(step.unknown_value)
        missing = _plain(step.encoded_missing_value) if None in values else unknown
        if any(v is None for v in step.categories_[i]):
            missing = float(values.index(None))  # to this encoder None is a category like any other
        out.append(_add(f, ["code", [v for v in values if v is not None], unknown, missing]))
    return out


def _function(step: Any, features: list[Any], _: Any) -> list[Any]:
    import numpy as np

    known = {np.log1p: "log1p", np.log: "log", np.exp: "exp", np.sqrt: "sqrt", np.abs: "abs"}
    if step.func is None:
        return features
    if step.kw_args or step.func not in known:
        raise Unsupported(f"the function {getattr(step.func, '__name__', step.func)!r} has no exact form")
    return [_add(f, [known[step.func]]) for f in features]


def _select(step: Any, features: list[Any], _: Any) -> list[Any]:
    return [f for f, keep in zip(features, step.get_support(), strict=True) if keep]


def _final(estimator: Any, form: dict[str, Any], features: list[Any], sample: Any) -> list[Any]:
    from . import model_form_estimator as estimators

    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list) or getattr(estimator, "n_outputs_", 1) != 1:
        raise Unsupported("a model of several targets has no exact form")
    if classes is None:
        form["task"] = "regression"
    else:
        form["task"] = "binary" if len(classes) == 2 else "multiclass"
        form["classes"] = [_label(c) for c in classes]
        if len(classes) < 2:
            raise Unsupported("the classifier knows one class only")
    if classes is not None and not hasattr(estimator, "predict_proba"):
        raise Unsupported(f"{type(estimator).__name__} gives no probabilities")
    return estimators.fill(estimator, form, features, sample)


def _label(value: Any) -> str:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def packed(array: Any, kind: str) -> str:
    """A numpy array as base64 of little-endian bytes."""
    import numpy as np

    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode()
