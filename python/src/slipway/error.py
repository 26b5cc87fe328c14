"""The one error of the SDK, with the codes that the server uses."""

from __future__ import annotations

import json

# HTTP status to code, as the server's own table has it.
CODES = {
    400: "invalid",
    401: "unauthenticated",
    403: "denied",
    404: "not_found",
    409: "conflict",
    422: "refused",
    499: "interrupted",
    503: "unavailable",
}


class SlipwayError(Exception):
    """What went wrong: `code` for programs, `message` and `hint` for people.

    Codes: invalid, refused, unauthenticated, denied, not_found, conflict,
    unavailable, interrupted, internal.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


def from_response(status: int, body: bytes) -> SlipwayError:
    """Read an error reply of the native API, the MLflow API or the Open Inference Protocol."""
    code = CODES.get(status, "invalid" if 400 <= status < 500 else "internal")
    try:
        reply = json.loads(body)
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        text = body[:200].decode("utf-8", "replace").strip()
        return SlipwayError(code, f"the server answered {status}" + (f": {text}" if text else ""))
    inner = reply.get("error")
    if isinstance(inner, dict):
        reply = inner
    elif isinstance(inner, str):
        reply = {**reply, "message": inner}
    if reply.get("error_code") == "RESOURCE_ALREADY_EXISTS":  # MLflow sends it as a 400
        code = "conflict"
    code = str(reply.get("code") or code)
    message = str(reply.get("message") or f"the server answered {status}")
    return SlipwayError(code, message, str(reply.get("hint") or ""))
