from __future__ import annotations

import pathlib
import socket
import subprocess
import sys

import pytest
from fake_server import Answer, Server

import slipway
from slipway import SlipwayError, transport


def test_import_needs_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import slipway;"
        "print([m for m in set(sys.modules) - before"
        " if m.partition('.')[0] not in {*sys.stdlib_module_names, 'slipway'}"
        " and not m.startswith('_sysconfigdata')])"  # generated, belongs to sysconfig
    )
    env = {"PYTHONPATH": str(pathlib.Path(slipway.__file__).parents[1])}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert out.stdout.strip() == "[]"


def test_busy_server_is_asked_again_after_the_time_it_names(server: Server, waits: list[float]) -> None:
    answers = [Answer({}, 503, {"Retry-After": "2"}), Answer({}, 503), Answer({"ok": 1})]
    server.answer = lambda request: answers[len(server.requests) - 1]
    assert transport.call(server.url, "POST", "/x", {"a": 1}) == {"ok": 1}
    assert waits == [2.0, 0.4]
    assert [r.json for r in server.requests] == [{"a": 1}] * 3


@pytest.mark.parametrize(("header", "wait"), [("3600", 30.0), ("-1", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.2)])
def test_odd_retry_after(server: Server, waits: list[float], header: str, wait: float) -> None:
    server.answer = lambda r: Answer({}, 503, {"Retry-After": header}) if len(server.requests) == 1 else Answer({})
    transport.call(server.url, "GET", "/")
    assert waits == [wait]


def test_server_that_stays_busy_is_given_up(server: Server, waits: list[float]) -> None:
    server.answer = lambda r: Answer({"code": "unavailable", "message": "the disk is full", "hint": "free some"}, 503)
    with pytest.raises(SlipwayError) as caught:
        transport.call(server.url, "GET", "/")
    assert (caught.value.code, str(caught.value)) == ("unavailable", "the disk is full (free some)")
    assert len(server.requests) == transport.ATTEMPTS == len(waits) + 1


def test_other_failures_are_not_repeated(server: Server, waits: list[float]) -> None:
    server.answer = lambda r: Answer(b"<html>boom", 500)
    with pytest.raises(SlipwayError, match="500: <html>boom") as caught:
        transport.call(server.url, "POST", "/", {})
    assert caught.value.code == "internal"
    assert (len(server.requests), waits) == (1, [])


def test_nobody_listens(waits: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(SlipwayError, match=r"no server listens at .* \(start one: slipway up\)") as caught:
            transport.call(url, "GET", "/")
    assert caught.value.code == "unavailable"
    assert len(waits) == transport.ATTEMPTS - 1


def test_silent_server_times_out(server: Server) -> None:
    def silent(request: object) -> Answer:
        server.release.wait()
        return Answer({})

    server.answer = silent
    with pytest.raises(SlipwayError, match=r"did not answer within 0\.05 s") as caught:
        transport.call(server.url, "GET", "/", timeout=0.05)
    assert caught.value.code == "unavailable"
    # The late answer must not be taken for the answer to the next request.
    server.release.set()
    server.answer = lambda r: Answer({"fresh": True})
    assert transport.call(server.url, "GET", "/") == {"fresh": True}


def test_connection_is_kept_and_survives_a_hang_up(server: Server) -> None:
    for _ in range(3):
        transport.call(server.url, "GET", "/")
    assert server.connections == 1
    server.answer = lambda r: Answer(hang_up=True) if len(server.requests) == 4 else Answer({"again": 1})
    assert transport.call(server.url, "GET", "/") == {"again": 1}
    assert server.connections == 2


def test_hang_up_on_a_fresh_connection_is_an_error(server: Server) -> None:
    server.answer = lambda r: Answer(hang_up=True)
    with pytest.raises(SlipwayError, match="cannot be reached") as caught:
        transport.call(server.url, "POST", "/", {})
    assert caught.value.code == "unavailable"


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (404, {"code": "not_found", "message": "no run x", "hint": "look"}, "not_found", "no run x (look)"),
        (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"}, "not_found", "gone"),
        (400, {"error_code": "RESOURCE_ALREADY_EXISTS", "message": "there"}, "conflict", "there"),
        (400, {"error": "column x is missing"}, "invalid", "column x is missing"),
        (422, {"error": {"code": "refused", "message": "the gate said no"}}, "refused", "the gate said no"),
        (401, {}, "unauthenticated", "the server answered 401"),
        (418, [], "invalid", "the server answered 418: []"),
    ],
)
def test_every_dialect_of_errors(server: Server, status: int, body: object, code: str, message: str) -> None:
    server.answer = lambda r: Answer(body, status)
    with pytest.raises(SlipwayError) as caught:
        transport.call(server.url, "GET", "/")
    assert (caught.value.code, str(caught.value)) == (code, message)


def test_token_and_base_path(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_TOKEN", "secret")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    transport.call(server.url + "/behind/", "GET", "/x")
    assert server.requests[0].path == "/behind/x"
    assert server.requests[0].headers["Authorization"] == "Bearer secret"


def test_bad_address_body_and_answer(server: Server) -> None:
    with pytest.raises(SlipwayError, match="not the address of a server"):
        transport.call("localhost:7070", "GET", "/")
    with pytest.raises(SlipwayError, match="cannot be written as JSON"):
        transport.call(server.url, "POST", "/", {"x": float("nan")})
    server.answer = lambda r: Answer(b"hello")
    with pytest.raises(SlipwayError, match="did not answer with JSON"):
        transport.call(server.url, "GET", "/")
