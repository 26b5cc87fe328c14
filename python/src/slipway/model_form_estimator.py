"""What model_form needs to know of each kind of estimator."""

from __future__ import annotations

import json
from typing import Any

from .model_form import Unsupported, _add, _plain, _transform, packed

LEFT, SET, SET_RIGHT = 1, 2, 4  # flags of a node


def fill(estimator: Any, form: dict[str, Any], features: list[Any], sample: Any) -> list[Any]:
    """Writes trees, linear or library into form, and gives the features they take."""
    kind, module = type(estimator).__name__, type(estimator).__module__
    if module.startswith("lightgbm."):
        return _lightgbm(estimator, form, features, sample)
    if module.startswith("xgboost."):
        return _xgboost(estimator, form, features, sample)
    if not module.startswith("sklearn."):
        raise Unsupported(f"{module}.{kind} has no exact form")
    if kind in ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor"):
        form["trees"] = _forest([estimator], form)
    elif kind in ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor"):
        form["trees"] = _forest(estimator.estimators_, form)
    elif kind in ("GradientBoostingClassifier", "GradientBoostingRegressor"):
        form["trees"], form["missing"] = _boosting(estimator, form), "refuse"
    elif kind in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"):
        return _hist(estimator, form, features)
    else:
        form["linear"], form["missing"] = _linear(estimator, form), "refuse"
    return features


def _tree(tree: Any, output: int, values: Any) -> dict[str, Any]:
    """One of scikit-learn's trees with one value for each node."""
    import numpy as np

    leaf = tree.children_left < 0
    missing = getattr(tree, "missing_go_to_left", np.zeros(len(leaf)))
    return {
        "output": output,
        "feature": packed(np.where(leaf, -1, tree.feature), "<i4"),
        "left": packed(np.where(leaf, 0, tree.children_left), "<i4"),
        "right": packed(np.where(leaf, 0, tree.children_right), "<i4"),
        "number": packed(np.where(leaf, values, tree.threshold), "<f8"),
        "cover": packed(tree.weighted_n_node_samples, "<f8"),
        "flag": packed(np.where(np.asarray(missing) != 0, LEFT, 0), "u1"),
    }


def _forest(estimators: Any, form: dict[str, Any]) -> dict[str, Any]:
    """The mean over trees, of a class's share in the leaf or of the leaf's value."""
    classes = len(form.get("classes", ()))
    outputs = classes if classes > 2 else 1
    trees = []
    for e in estimators:
        value = e.tree_.value[:, 0, :]
        if classes:
            value = value / value.sum(axis=1, keepdims=True)  # counts, before scikit-learn 1.3
        for k in range(outputs):
            trees.append(_tree(e.tree_, k, value[:, 1 if classes == 2 else k]))
    return {
        "outputs": outputs,
        "base": [0.0] * outputs,
        "average": True,
        "round32": True,
        "link": "identity",
        "tree": trees,
    }


def _boosting(e: Any, form: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    if not (isinstance(e.init_, str) or type(e.init_).__name__.startswith("Dummy")):
        raise Unsupported("gradient boosting that starts from another model has no exact form")
    base = np.asarray(e._raw_predict_init(np.zeros((1, e.n_features_in_), dtype=np.float32)), dtype=float)[0]
    trees = [
        _tree(t.tree_, k, e.learning_rate * t.tree_.value[:, 0, 0])
        for stage in e.estimators_
        for k, t in enumerate(stage)
    ]
    link, coefficient = "identity", 1.0
    if "classes" in form:
        link = "sigmoid" if len(base) == 1 else "softmax"
        coefficient = 2.0 if e.loss == "exponential" else 1.0
    return {"outputs": len(base), "base": [float(v) for v in base], "round32": True, "link": link,
            "coefficient": coefficient, "tree": trees}  # fmt: skip


def _hist(e: Any, form: dict[str, Any], features: list[Any]) -> list[Any]:
    import numpy as np

    preprocessor = getattr(e, "_preprocessor", None)
    if preprocessor is not None:  # ordinal codes of the categories first, then the numbers
        out: list[Any] = []
        for name, inner, chosen in preprocessor.transformers_:
            part = [f for f, c in zip(features, chosen, strict=True) if c]
            out += _transform(inner, part, form["columns"]) if name == "encoder" else part
        features = out
    elif e.is_categorical_ is not None and np.any(e.is_categorical_):
        raise Unsupported("categorical features of this release of scikit-learn have no exact form")
    base = np.asarray(e._baseline_prediction, dtype=float).reshape(-1)
    trees = [_hist_tree(p, k) for stage in e._predictors for k, p in enumerate(stage)]
    if "classes" in form:
        link = "sigmoid" if len(base) == 1 else "softmax"
    else:
        link = "exp" if e.loss in ("poisson", "gamma") else "identity"
    form["trees"] = {"outputs": len(base), "base": [float(v) for v in base], "link": link, "tree": trees}
    return features


def _bits(words: Any) -> set[int]:
    return {32 * i + b for i, w in enumerate(words) for b in range(32) if int(w) >> b & 1}


def _hist_tree(p: Any, output: int) -> dict[str, Any]:
    import numpy as np

    n = p.nodes
    leaf, left = n["is_leaf"] != 0, n["missing_go_to_left"] != 0
    category = (n["is_categorical"] != 0) & ~leaf
    number = np.where(leaf, n["value"], n["num_threshold"]).astype(float)
    flag = np.where(left, LEFT, 0)
    sets: list[list[int]] = []
    for i in np.flatnonzero(category):
        go_left = _bits(p.raw_left_cat_bitsets[n["bitset_idx"][i]])
        if left[i]:
            # The encoder has made NaN of categories that training never saw.
            codes, flag[i] = set(range(256)) - go_left, flag[i] | SET_RIGHT
        else:
            codes = go_left
        number[i], flag[i] = len(sets), flag[i] | SET
        sets.append(sorted(codes))
    out = {
        "output": output,
        "feature": packed(np.where(leaf, -1, n["feature_idx"]), "<i4"),
        "left": packed(np.where(leaf, 0, n["left"]), "<i4"),
        "right": packed(np.where(leaf, 0, n["right"]), "<i4"),
        "number": packed(number, "<f8"),
        "cover": packed(n["count"], "<f8"),
        "flag": packed(flag, "u1"),
    }
    return {**out, "sets": sets} if sets else out


def _linear(e: Any, form: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    kind = type(e).__name__
    links = {"LogisticRegression": "sigmoid", "LogisticRegressionCV": "sigmoid", "PoissonRegressor": "exp",
             "GammaRegressor": "exp", "TweedieRegressor": ""}  # fmt: skip
    plain = (
        "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "BayesianRidge",
        "ARDRegression", "HuberRegressor", "SGDRegressor", "Lars", "LassoLars", "QuantileRegressor",
        "TheilSenRegressor",
        "LinearSVR", "SGDClassifier",
    )  # fmt: skip
    if kind not in links and kind not in plain:
        raise Unsupported(f"{kind} has no exact form")
    link = links.get(kind, "identity")
    if kind == "TweedieRegressor":
        link = "exp" if e.link == "log" or (e.link == "auto" and e.power > 0) else "identity"
    if kind == "SGDClassifier":
        if e.loss != "log_loss":
            raise Unsupported("SGDClassifier has probabilities of an exact form with loss='log_loss' only")
        link = "sigmoid"
    weight = np.atleast_2d(np.asarray(e.coef_, dtype=float))
    intercept = np.broadcast_to(np.asarray(e.intercept_, dtype=float).reshape(-1), (len(weight),))
    if len(form.get("classes", ())) > 2:
        ovr = kind == "SGDClassifier" or e.solver == "liblinear" or getattr(e, "multi_class", "auto") == "ovr"
        link = "ovr" if ovr else "softmax"
        if len(weight) == 1:
            raise Unsupported("a multinomial model of one row of weights has no exact form")
    elif "classes" in form and getattr(e, "multi_class", "auto") == "multinomial":
        weight, intercept = 2 * weight, 2 * intercept  # the softmax of -m and m
    return {
        "weight": [[float(v) for v in row] for row in weight],
        "intercept": [float(v) for v in intercept],
        "link": link,
    }


def _categories(features: list[Any], sample: Any, lists: Any) -> list[Any]:
    """Codes for the pandas categories of a frame that goes to LightGBM or XGBoost as it is."""
    lists = list(lists or [])
    out = []
    for f in features:
        dtypes: Any = getattr(sample, "dtypes", None) if hasattr(sample, "columns") else None
        dtype: Any = None if dtypes is None else dtypes.get(f["name"])
        if getattr(dtype, "name", "") == "category" and not f["steps"]:
            values = lists.pop(0) if lists else list(dtype.categories)
            f = _add(f, ["code", [_plain(v) for v in values], None, None])
        out.append(f)
    return out


def _lightgbm(e: Any, form: dict[str, Any], features: list[Any], sample: Any) -> list[Any]:
    booster = e.booster_
    text = booster.model_to_string(num_iteration=getattr(e, "best_iteration_", None) or -1)
    form["library"] = {"text": text[: text.index("\nend of trees") + len("\nend of trees\n")] + "\n"}
    return _categories(features, sample, booster.pandas_categorical)


def _xgboost(e: Any, form: dict[str, Any], features: list[Any], sample: Any) -> list[Any]:
    booster = e.get_booster()
    best = getattr(e, "best_iteration", None) if e.get_params().get("early_stopping_rounds") else None
    if best is not None:
        booster = booster[: best + 1]
    form["library"] = {"text": json.dumps(json.loads(bytes(booster.save_raw("json"))), separators=(",", ":"))}
    return _categories(features, sample, None)
