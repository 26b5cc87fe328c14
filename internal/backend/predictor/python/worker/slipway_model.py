"""Loads a Python model and asks it for predictions.

A model is an MLflow folder, a pickle or joblib file, a class in a Python
file, or a LightGBM or XGBoost file. What it takes is found out here, once;
what it gives is brought into one form by slipway_answer.
"""

import importlib.util
import os
import re
import sys

import slipway_frame
from slipway_answer import Wrong, answer

numpy = slipway_frame.numpy

# Estimators that read numbers as a matrix and nothing else, so that a frame
# of numbers needs no DataFrame. Anything else may look at names and types.
PLAIN = re.compile(
    r"sklearn\.(linear_model|tree|svm|neighbors|naive_bayes|neural_network|discriminant_analysis"
    r"|ensemble\._(forest|gb|hist_gradient_boosting))\b"
)


def library(name):
    """A module, or None when it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def load(spec):
    """Opens the model that the server asks for."""
    return {"mlflow": mlflow_folder, "pickle": pickled, "class": from_class, "lightgbm": lightgbm_file, "xgboost": xgboost_file}[
        spec["kind"]
    ](spec)


class Model:
    """A loaded model: something to call with rows in a form that it takes."""

    def __init__(self, model, spec):
        self.known = spec.get("signature") or {}
        self.task = self.known.get("task") or ""
        self.classes = self.known.get("classes") or []
        self.input = []  # [{"name", "type", "nullable"}]
        self.casts = {}  # name -> numpy type, where a schema is that exact
        self.categorical = False  # text columns must be pandas categories
        self.call, self.proba = model.predict, False
        self.labels = None  # the type of the labels that a classifier without probabilities gives
        self.rows = getattr(model, "rows", None)
        self.inspect(model)
        if self.rows not in (None, "pandas", "numpy", "dict"):
            raise Wrong("rows must be 'pandas', 'numpy' or 'dict', not %r" % (self.rows,))
        if self.rows is None:
            self.rows = "pandas" if library("pandas") else "dict"
        self.pandas = library("pandas") if self.rows == "pandas" else None

    def inspect(self, model):
        """Asks an estimator in scikit-learn's manner what it knows of itself."""
        classes = getattr(model, "classes_", None)
        if isinstance(classes, list) and classes and hasattr(classes[0], "__len__") and not isinstance(classes[0], str):
            classes = None  # several targets, each with classes of its own: no one probability
        elif hasattr(model, "predict_proba"):
            self.call, self.proba = model.predict_proba, True
        if classes is not None and len(classes):
            if not self.proba:
                self.labels = {"i": "int", "u": "int", "f": "float", "b": "bool"}.get(
                    getattr(getattr(classes, "dtype", None), "kind", ""), "text"
                )
            self.classes = [label(c) for c in classes]
            self.task = "binary" if len(self.classes) == 2 else "multiclass"
        elif not self.task and estimator_type(model) == "regressor":
            self.task = "regression"
        module = type(model).__module__
        self.plain = bool(PLAIN.match(module))
        self.categorical = module.startswith(("lightgbm.", "xgboost."))
        names = getattr(model, "feature_names_in_", None)
        if names is not None and not callable(names):
            kind = "float" if self.plain else ""
            self.input = [{"name": str(n), "type": kind, "nullable": True} for n in names]
        if self.plain:
            import warnings

            # The server has matched the names already.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")

    def about(self):
        """What the server hears when the model is ready."""
        return {
            "task": self.task,
            "input": self.input or None,
            "classes": self.classes or None,
            "labels": self.labels,
            "python": sys.version.split()[0],
        }

    def predict(self, rows):
        return answer(self.call(self.form(rows)), rows.count, self)

    def form(self, rows):
        """The rows as the model takes them."""
        schema = rows.schema
        if self.rows == "numpy" or (self.plain and schema.numeric and numpy is not None):
            if not schema.numeric:
                name = next(n for n, t in zip(schema.names, schema.types) if t not in ("float", "int", "bool"))
                raise Wrong("column %r is no number, and the model takes a matrix of numbers" % name)
            return rows.matrix()
        if self.pandas is None:
            return rows.lists()
        if schema.index is None:
            schema.index = self.pandas.Index(schema.names)
        if schema.float and not self.casts:
            return self.pandas.DataFrame(rows.matrix(), columns=schema.index, copy=False)
        return self.pandas.DataFrame(dict(self.columns(rows)), columns=schema.index, copy=False)

    def columns(self, rows):
        for name, kind, categories, values in rows.arrays():
            if name in self.casts and values.dtype.kind in "iuf":
                values = self.cast(name, values)
            elif kind == "text" and self.categorical:
                if categories is None and self.categorical == "known":
                    raise Wrong("the categories of column %r are not known" % name)
                values = self.pandas.Categorical(values, categories=categories)
            yield name, values

    def cast(self, name, values):
        kind = self.casts[name]
        if kind.kind in "iu" and values.dtype.kind == "f":
            return values  # a gap among whole numbers: the schema's own check will say so
        return values.astype(kind)


def label(value):
    """A class as people write it: 1, not 1.0 or numpy.int64(1)."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def estimator_type(model):
    kind = getattr(model, "_estimator_type", None)
    if kind is None and hasattr(model, "__sklearn_tags__"):
        kind = getattr(model.__sklearn_tags__(), "estimator_type", None)
    return kind


def pickled(spec):
    folder = os.path.dirname(os.path.abspath(spec["path"]))
    sys.path.insert(0, folder)  # a class that was pickled may stand beside its pickle
    joblib = library("joblib")
    if joblib is not None:
        model = joblib.load(spec["path"])
    else:
        import pickle

        with open(spec["path"], "rb") as file:
            model = pickle.load(file)
    return native(model, spec)


def native(model, spec):
    """Chooses how a loaded object is asked."""
    module, name = type(model).__module__, type(model).__name__
    if name == "Booster" and module.startswith("lightgbm."):
        return LightGBM(model, spec)
    if name == "Booster" and module.startswith("xgboost."):
        return XGBoost(model, spec)
    if not callable(getattr(model, "predict", None)):
        raise Wrong("the file holds a %s.%s, which has no method predict" % (module, name))
    return Model(model, spec)


def from_class(spec):
    folder, file = os.path.split(os.path.abspath(spec["path"]))
    sys.path.insert(0, folder)
    name = file[: -len(".py")]
    found = importlib.util.spec_from_file_location(name, spec["path"])
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        found.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    model = getattr(module, spec["class"], None)
    if model is None:
        raise Wrong("%s has no class %s" % (file, spec["class"]))
    if isinstance(model, type):
        model = model()
    if not callable(getattr(model, "predict", None)):
        raise Wrong("%s has no method predict" % spec["class"])
    return Model(model, spec)


def lightgbm_file(spec):
    import lightgbm

    return LightGBM(lightgbm.Booster(model_file=spec["path"]), spec)


def xgboost_file(spec):
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(spec["path"])
    return XGBoost(booster, spec)


class LightGBM(Model):
    """A LightGBM Booster."""

    def inspect(self, model):
        objective = str(model.dump_model(num_iteration=1).get("objective", "")).split(" ")[0]
        outputs = model.num_model_per_iteration()
        self.plain, self.categorical = False, True
        self.guess(objective in ("binary", "cross_entropy"), objective.startswith("multiclass"), outputs)
        self.input = [{"name": n, "type": "", "nullable": True} for n in model.feature_name()]

    def guess(self, binary, multiclass, outputs):
        if binary:
            self.task = "binary"
        elif multiclass:
            self.task = "multiclass"
            self.classes = self.classes or [str(i) for i in range(outputs)]
        else:
            self.task = self.task or "regression"


class XGBoost(LightGBM):
    """An XGBoost Booster."""

    def inspect(self, model):
        import json

        import xgboost

        learner = json.loads(model.save_config())["learner"]
        objective = learner["objective"]["name"]
        outputs = int(learner["learner_model_param"]["num_class"])
        self.plain, self.categorical = False, "known"
        self.guess(objective in ("binary:logistic", "reg:logistic"), objective == "multi:softprob", outputs)
        names, types = model.feature_names or [], model.feature_types or []
        for i, name in enumerate(names):
            kind = "" if i < len(types) and types[i] == "c" else "float"
            self.input.append({"name": name, "type": kind, "nullable": True})
        self.call = lambda data: model.predict(xgboost.DMatrix(data, enable_categorical=True))


def mlflow_folder(spec):
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(spec["path"])
    raw = None
    if hasattr(model, "get_raw_model"):
        try:
            raw = model.get_raw_model()
        except Exception:  # a flavour without one raises what it likes
            raw = None
    if raw is not None and hasattr(raw, "predict_proba") and getattr(raw, "classes_", None) is not None:
        # The pyfunc of a classifier gives labels; the flavour's own object
        # gives the probabilities that gates and monitors need.
        out = Model(raw, spec)
    elif type(raw).__name__ == "Booster":
        out = native(raw, spec)  # it knows its objective
    else:
        out = Model(model, spec)
        out.plain = out.categorical = False
    schema = model.metadata.get_input_schema()
    if schema is not None:
        describe(out, schema)
    return out


TYPES = {"double": "float", "float": "float", "long": "int", "integer": "int", "boolean": "bool", "string": "text", "datetime": "time", "binary": "binary"}


def describe(model, schema):
    """Takes over the input of an MLflow signature."""
    if schema.is_tensor_spec():
        model.rows = "numpy"
        kind = schema.input_types()[0]
        call = model.call
        model.call = lambda matrix: call(matrix.astype(kind, copy=False))
        return
    if not schema.has_input_names():
        return
    model.input = []
    for column in schema.inputs:
        kind = getattr(column.type, "name", "")
        model.input.append({"name": column.name, "type": TYPES.get(kind, ""), "nullable": True})
        if kind in ("float", "integer"):
            model.casts[column.name] = numpy.dtype(column.type.to_numpy())
