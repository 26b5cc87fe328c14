"""Saving a fitted estimator so that the server answers it as fast as it can."""

from __future__ import annotations

import json
import os
import pathlib
import pickle
from dataclasses import dataclass
from typing import Any

from .error import SlipwayError
from .model_form import Unsupported, describe
from .model_form_check import difference


@dataclass(frozen=True)
class Saved:
    """What save_model wrote."""

    path: pathlib.Path
    native: bool  # answered without Python; else a pickle for a worker process
    reason: str  # why it is a pickle; empty when native


def save_model(model: Any, path: str | os.PathLike[str], sample: Any) -> Saved:
    """Write a fitted estimator to a file that `slipway serve` and a pipeline's output take.

    `sample` is some hundred rows of the training input, a DataFrame or a matrix:
    it gives names and types, and the written model must answer it as the
    estimator does, to 1e-6. An estimator that has no exact form, or answers
    differently, is pickled instead, and the reason is in what comes back.
    scikit-learn's trees, forests, gradient boosting, linear and logistic models,
    LightGBM's and XGBoost's estimators have one, alone or behind the usual
    scalers, imputers and encoders in a Pipeline.
    """
    if not hasattr(model, "predict"):
        raise SlipwayError("invalid", f"{type(model).__name__} has no predict: it is no model to save")
    if len(sample) == 0:
        raise SlipwayError("invalid", "the sample has no rows", "pass some rows of the training input")
    path = pathlib.Path(path)
    reason = ""
    try:
        form = describe(model, sample)
        reason = difference(model, form, sample)
        if reason:
            reason = "the written model did not answer as the estimator does: " + reason
    except Unsupported as err:
        reason = str(err)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as err:
        reason = f"its form could not be written: {type(err).__name__}: {err}"
    if reason:
        try:
            body = pickle.dumps(model)
        except (AttributeError, TypeError, pickle.PicklingError) as err:
            raise SlipwayError(
                "invalid", f"the model cannot be saved: {reason}; and it cannot be pickled: {err}"
            ) from err
    else:
        body = json.dumps(form, separators=(",", ":"), allow_nan=False).encode()
    part = path.with_name(path.name + ".part")
    part.write_bytes(body)
    os.replace(part, path)
    return Saved(path, not reason, reason)
