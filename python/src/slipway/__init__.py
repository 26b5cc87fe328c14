"""The Python side of Slipway.

Inside a step of a pipeline everything is set already: `params()` are the step's
params, `dataset()` finds its inputs, `log_metric()` writes to its run. By hand
the same script runs too: params are the defaults, datasets are read from the
folder beside the script, and what is logged goes nowhere, with one warning.

Importing this package imports the standard library only.
"""

from .data import Dataset, Window, dataset
from .environment import params
from .error import SlipwayError
from .feedback import label, labels
from .inference import Prediction, predict
from .model import Saved, save_model
from .tracking import Run, log_artifact, log_metric, log_metrics, log_param, log_params, run, set_tag

__version__ = "0.1.0"

__all__ = [
    "Dataset", "Prediction", "Run", "Saved", "SlipwayError", "Window",
    "dataset", "label", "labels", "log_artifact", "log_metric", "log_metrics", "log_param", "log_params",
    "params", "predict", "run", "save_model", "set_tag",
]  # fmt: skip
