"""Clean surroundings for every test, and a server for those that want one."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import pytest
from fake_server import Server

from slipway import tracking, transport


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[None]:
    """No variable of the surroundings, an empty folder, and no kept connection."""
    for name in [name for name in os.environ if name.startswith(("SLIPWAY_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking, "_warned", False)
    yield
    for connection in transport._local.__dict__.pop("kept", {}).values():
        connection.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    one = Server()
    monkeypatch.setenv("SLIPWAY_SERVER", one.url)
    yield one
    one.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, taken down instead of slept."""
    seconds: list[float] = []
    monkeypatch.setattr("slipway.transport.time.sleep", seconds.append)
    return seconds
