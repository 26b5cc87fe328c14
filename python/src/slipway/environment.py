"""What the step's surroundings say: the environment variables that Slipway sets."""

from __future__ import annotations

import json
import os
from typing import Any

from .error import SlipwayError

SERVER = "http://127.0.0.1:7070"
INFERENCE = "http://127.0.0.1:7071"


def server() -> str:
    """Address of the control plane: SLIPWAY_SERVER, else the local default."""
    return os.environ.get("SLIPWAY_SERVER") or SERVER


def inference() -> str:
    """Address of the inference port: SLIPWAY_INFERENCE, else the local default."""
    address = os.environ.get("SLIPWAY_INFERENCE") or INFERENCE
    # The server takes host:port in the same variable.
    return address if "://" in address else "http://" + address


def project() -> str:
    """Name of the project: SLIPWAY_PROJECT. Fails with invalid when unset."""
    name = os.environ.get("SLIPWAY_PROJECT")
    if not name:
        raise SlipwayError("invalid", "no project is named", "pass project= or set SLIPWAY_PROJECT")
    return name


def json_object(variable: str) -> dict[str, Any]:
    """Read a JSON object from an environment variable; {} when it is unset."""
    text = os.environ.get(variable)
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError as err:
        raise SlipwayError("invalid", f"{variable} is not JSON: {err}") from None
    if not isinstance(value, dict):
        raise SlipwayError("invalid", f"{variable} is not a JSON object")
    return value


def params(**defaults: Any) -> dict[str, Any]:
    """The step's params over `defaults`.

    A whole number given for a param whose default is a float becomes a float,
    so that `learning_rate: 1` in slipway.yaml means 1.0.
    """
    out = {**defaults, **json_object("SLIPWAY_PARAMS")}
    for name, default in defaults.items():
        if isinstance(default, float) and type(out[name]) is int:
            out[name] = float(out[name])
    return out
