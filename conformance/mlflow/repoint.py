"""A pytest plugin that runs MLflow's own HTTP suites against Slipway, without a change to them.

The suites start MLflow in three ways: `ServerThread` with `initialize_backend_stores`, `_init_server`,
and the `mlflow server` of test_mlflow_artifacts.py. Each becomes a `slipway up` of its own, with an
empty workspace. SLIPWAY_BIN names the binary. The cases that left_out.txt lists must fail, the others
must pass or skip themselves.
"""

import contextlib
import inspect
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import types
import urllib.error
import urllib.parse
import urllib.request

import pytest

HERE = pathlib.Path(__file__).parent


def left_out():
    """The rows of left_out.txt: (what is done, case, reason)."""
    rows = []
    for line in (HERE / "left_out.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            rows.append(tuple(line.split(None, 2)))
    return rows


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def slipway(port=None):
    """A server on an empty workspace; yields its address."""
    folder = tempfile.mkdtemp(prefix="sc.")
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPWAY_", "MLFLOW_"))}
    env |= {"HOME": folder, "SLIPWAY_WORKSPACE": folder + "/ws"}
    command = [
        os.environ["SLIPWAY_BIN"],
        "up",
        "--quiet",
        "--listen",
        f"127.0.0.1:{port}",
        "--inference",
        "127.0.0.1:0",
    ]
    with open(folder + "/log", "w+") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            for _ in range(600):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(url + "/health", timeout=1).close()
                    break
                if process.poll() is not None:
                    break
                time.sleep(0.02)
            else:
                process.kill()
            if process.poll() is not None:
                log.seek(0)
                raise RuntimeError("slipway did not start:\n" + log.read())
            yield url
        finally:
            process.terminate()
            process.wait(30)
    text = pathlib.Path(folder, "log").read_text()
    shutil.rmtree(folder, ignore_errors=True)
    assert "panic" not in text and "request failed" not in text, "the server broke:\n" + text


class ServerThread:
    """Stands for integration_test_utils.ServerThread."""

    def __init__(self, app, port):
        self.server = slipway(port)

    def __enter__(self):
        import mlflow

        url = self.server.__enter__()
        # initialize_backend_stores does it too: commands that run in this process go to that store.
        mlflow.set_tracking_uri(url)
        return url

    def __exit__(self, *exc):
        return self.server.__exit__(*exc)


@contextlib.contextmanager
def init_server(backend_uri, root_artifact_uri, extra_env=None, app=None, server_type="fastapi"):
    """Stands for integration_test_utils._init_server."""
    with slipway() as url:
        yield url


class Remote:
    """Stands for the disk of the artifact server: a path below a root is asked of the server."""

    def __init__(self):
        self.roots = {}

    def url(self, path):
        for root, url in self.roots.items():
            if str(path).startswith(root + os.sep):
                return url + "/api/2.0/mlflow-artifacts/artifacts/" + urllib.parse.quote(os.path.relpath(path, root))
        return None

    def read(self, path):
        if url := self.url(path):
            with urllib.request.urlopen(url) as answer:
                return answer.read().decode()
        return pathlib.Path(path).read_text()

    def exists(self, path):
        if not self.url(path):
            return os.path.exists(path)
        try:
            self.read(path)
        except urllib.error.HTTPError:
            return False
        return True


def repoint_artifacts(module):
    """Replaces in test_mlflow_artifacts.py what starts a server and what looks at its disk."""
    remote = Remote()

    @contextlib.contextmanager
    def launch(host, port, backend_store_uri, default_artifact_root, artifacts_destination):
        with slipway(port) as url:
            remote.roots[artifacts_destination] = url
            yield None

    path = types.SimpleNamespace(**{**vars(os.path), "exists": remote.exists})
    module._launch_server = launch
    module.read_file = remote.read
    module.os = types.SimpleNamespace(**{**vars(os), "path": path})


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.addinivalue_line("markers", "asyncio: of pytest-asyncio, which only left out cases use")
    import mlflow.server.handlers as handlers
    from tests.tracking import integration_test_utils as utils

    assert callable(utils.ServerThread) and callable(utils._init_server), (
        "MLflow's suites start servers in another way now"
    )
    assert list(inspect.signature(utils.ServerThread.__init__).parameters) == ["self", "app", "port"]
    utils.ServerThread, utils._init_server = ServerThread, init_server
    handlers.initialize_backend_stores = lambda *args, **kwargs: None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    rows = left_out()
    for module in {item.module for item in items}:
        if hasattr(module, "_launch_server"):
            repoint_artifacts(module)
    used, ran = set(), set()
    for item in items:
        file, name = pathlib.Path(item.path).name, item.name
        ran.add(file)
        for what, case, reason in rows:
            # A case without parameters stands for all of them.
            if case in (f"{file}::{name}", f"{file}::{name.split('[')[0]}"):
                used.add(case)
                item.add_marker(
                    pytest.mark.skip(reason=reason) if what == "skip" else pytest.mark.xfail(reason=reason, strict=True)
                )
    if not config.getoption("keyword") and not any("::" in a for a in config.args):
        stale = [case for _, case, _ in rows if case not in used and case.split("::")[0] in ran]
        if stale:
            raise pytest.UsageError("left_out.txt names cases that are not there: " + ", ".join(stale))
