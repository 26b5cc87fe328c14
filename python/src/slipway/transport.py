"""HTTP to a Slipway server: kept-alive connections, time limits, retries.

Proxies in the environment are not used: the server is on this machine, or its
address was given on purpose.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.parse
from typing import Any, BinaryIO

from .error import SlipwayError, from_response

TIMEOUT = 30.0  # seconds without an answer
ATTEMPTS = 5
LONGEST_WAIT = 30.0  # seconds between two attempts, whatever the server asks for

_local = threading.local()


def call(base: str, method: str, path: str, body: Any = None, *, timeout: float = TIMEOUT) -> Any:
    """Send `body` as JSON and return the JSON answer, {} when it is empty.

    A 503 is repeated after the time in Retry-After, and so is a refused
    connection: in both cases nothing was done. Fails with SlipwayError.
    """
    try:
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as err:
        raise SlipwayError("invalid", f"the request cannot be written as JSON: {err}") from None
    reply = send(base, method, path, data, "application/json", timeout=timeout)
    try:
        return json.loads(reply) if reply else {}
    except ValueError:
        raise SlipwayError("internal", f"{base}{path} did not answer with JSON") from None


def send(
    base: str, method: str, path: str, body: bytes | BinaryIO | None, content_type: str, *, timeout: float = TIMEOUT
) -> bytes:
    """Send bytes or an open file and return the answer's bytes, with the retries of call()."""
    url = urllib.parse.urlsplit(base)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise SlipwayError("invalid", f"{base!r} is not the address of a server", "write http://host:port")
    headers = {"Content-Type": content_type, "Accept": "application/json"}
    if token := os.environ.get("SLIPWAY_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    if body is not None and not isinstance(body, bytes):
        headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)
    path = url.path.rstrip("/") + path
    for attempt in range(1, ATTEMPTS + 1):
        wait = min(0.1 * 2**attempt, LONGEST_WAIT)
        try:
            status, after, reply = _exchange(url, method, path, body, headers, timeout)
        except ConnectionRefusedError:
            if attempt == ATTEMPTS:
                raise SlipwayError("unavailable", f"no server listens at {base}", "start one: slipway up") from None
        except TimeoutError:
            raise SlipwayError("unavailable", f"{base} did not answer within {timeout:g} s") from None
        except (OSError, http.client.HTTPException) as err:
            raise SlipwayError("unavailable", f"{base} cannot be reached: {err}") from None
        else:
            if status < 400:
                return reply
            if status != 503 or attempt == ATTEMPTS:
                raise from_response(status, reply)
            if after is not None:
                wait = min(after, LONGEST_WAIT)
        time.sleep(wait)
    raise AssertionError("unreachable")


def _exchange(
    url: urllib.parse.SplitResult, method: str, path: str, body: Any, headers: dict[str, str], timeout: float
) -> tuple[int, float | None, bytes]:
    """One request and its answer: status, seconds of Retry-After, body."""
    connection, reused = _connect(url, timeout)
    while True:
        if body is not None and not isinstance(body, bytes):
            body.seek(0)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            reply = response.read()
            return response.status, _seconds(response.getheader("Retry-After")), reply
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A server may close a connection that was idle just when it is
            # used again; a fresh one then carries the request.
            connection.close()
            if not reused:
                raise
            reused = False
        except BaseException:
            connection.close()
            raise


def _connect(url: urllib.parse.SplitResult, timeout: float) -> tuple[http.client.HTTPConnection, bool]:
    """This thread's connection to a server, and whether it was used before."""
    kept: dict[tuple[int, str, str], http.client.HTTPConnection] = _local.__dict__.setdefault("kept", {})
    key = (os.getpid(), url.scheme, url.netloc)  # a forked child must not share its parent's socket
    connection = kept.get(key)
    if connection is None:
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kept[key] = kind(url.hostname or "", url.port, timeout=timeout)
    connection.timeout = timeout
    if connection.sock is not None:
        connection.sock.settimeout(timeout)
    return connection, connection.sock is not None


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; its date form is rare enough to be ignored."""
    try:
        return None if header is None else max(0.0, float(header))
    except ValueError:
        return None
