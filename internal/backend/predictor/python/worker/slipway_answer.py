"""Brings whatever a model returns into one form: named columns, a value for
each row."""

import math

import slipway_frame

numpy = slipway_frame.numpy


class Wrong(Exception):
    """The model cannot be used as it is; the text says why."""


def answer(out, rows, model):
    """The encoded frame of a model's answer to a batch."""
    names, columns = split(out, rows)
    width = len(columns)
    classes, binary = model.classes, model.task == "binary"
    if width == 0:
        raise Wrong("the model gave no columns")
    for values in columns:
        if len(values) != rows:
            raise Wrong("the model gave %d rows for %d" % (len(values), rows))
    if width == 2 and (binary or (model.proba and not classes)):
        names, columns, binary = ["probability"], columns[1:], True
    elif width == 1:
        names = ["probability" if binary and not model.labels and is_number(columns[0]) else "prediction"]
    elif width == len(classes):
        names = classes
    elif names is None:
        names = [str(i) if model.proba else "prediction_%d" % i for i in range(width)]
    if binary and not model.proba and names[0] == "probability":
        bounded(columns[0])
    plain = [typed(values) for values in columns]
    return slipway_frame.encode(rows, names, [t for t, _ in plain], [v for _, v in plain])


def bounded(values):
    low, high = (values.min(), values.max()) if hasattr(values, "min") else (min(values), max(values))
    if low < 0 or high > 1:
        raise Wrong("the model gave %r for a probability" % float(low if low < 0 else high))


def is_number(values):
    if hasattr(values, "dtype") and values.dtype.kind in "fiub":
        return True
    return all(isinstance(v, (int, float)) and not (isinstance(v, float) and math.isnan(v)) for v in values)


def split(out, rows):
    """(names or None, columns) of whatever a model may return."""
    if numpy is not None and isinstance(out, numpy.ndarray):
        return from_array(out)
    if hasattr(out, "columns") and hasattr(out, "iloc"):  # a DataFrame
        return [str(c) for c in out.columns], [out.iloc[:, i].to_numpy() for i in range(out.shape[1])]
    if hasattr(out, "toarray"):  # a sparse matrix
        return from_array(out.toarray())
    if hasattr(out, "to_numpy"):  # a Series
        return from_array(out.to_numpy())
    if isinstance(out, dict):
        return [str(k) for k in out], [listed(v) for v in out.values()]
    if hasattr(out, "__array__") and numpy is not None:
        return from_array(numpy.asarray(out))
    if isinstance(out, (list, tuple)):
        return from_list(out, rows)
    raise Wrong("the model gave a %s; it should give a list, an array or a DataFrame" % type(out).__name__)


def from_array(out):
    if out.ndim == 1:
        return None, [out]
    if out.ndim == 2:
        return None, list(numpy.ascontiguousarray(out.T))
    raise Wrong("the model gave an array of %d dimensions; it should give one or two" % out.ndim)


def from_list(out, rows):
    if out and isinstance(out[0], dict):
        names = list(out[0])
        return [str(n) for n in names], [[row.get(n) for row in out] for n in names]
    if out and hasattr(out[0], "__len__") and not isinstance(out[0], (str, bytes)):
        width = len(out[0])
        if any(len(row) != width for row in out):
            raise Wrong("the model gave rows of different lengths")
        return None, [[row[i] for row in out] for i in range(width)]
    return None, [out]


def listed(values):
    return values if hasattr(values, "__len__") and not isinstance(values, str) else [values]


def typed(values):
    """(type, values): numbers as an array or a list, text as a list."""
    kind = getattr(getattr(values, "dtype", None), "kind", None)
    if kind == "f":
        return "float", values
    if kind in ("i", "u"):
        return "int", values
    if kind == "b":
        return "bool", values
    plain = [None if missing(v) else v.item() if hasattr(v, "item") else v for v in values]
    some = [v for v in plain if v is not None]
    if all(isinstance(v, bool) for v in some) and some:
        return "bool", plain
    if all(isinstance(v, int) for v in some) and some:
        return "int", plain
    if all(isinstance(v, (int, float)) for v in some):
        return "float", plain
    return "text", [None if v is None else str(v) for v in plain]


def missing(value):
    """None, NaN, NaT and pandas.NA, the only values that are not themselves."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas.NA refuses to be true or false
        return True
