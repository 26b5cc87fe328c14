"""Sends the same requests to MLflow's own server and to Slipway and compares the answers.

The requests are those of program.py, recorded while it runs against MLflow's server. They are
replayed to Slipway with the ids that Slipway gave, and every answer is compared field by field. Not
compared are ids, times of the server's own clock, names that a server makes up, and the wording of
errors; a field that is absent equals its empty value, as it does to protobuf, with which clients
read. differences.txt lists what differs on purpose. SLIPWAY_BIN names the binary; the Python that
runs this has MLflow.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

import requests
from program import program
from repoint import free_port, slipway

HERE = pathlib.Path(__file__).parent
# Fields whose values are the server's own. A pair that differs is learnt, for later requests.
OWN = {
    "run_id",
    "run_uuid",
    "experiment_id",
    "model_id",
    "source_run_id",
    "next_page_token",
    "artifact_location",
    "artifact_uri",
    "root_uri",
    "source",
}
# Times that the server takes from its clock, and what an error says beside its code.
CLOCK = {
    "creation_time",
    "last_update_time",
    "creation_timestamp",
    "last_updated_timestamp",
    "creation_timestamp_ms",
    "last_updated_timestamp_ms",
    "message",
    "error_class",
    "sqlstate",
    "trace_archival_enabled",
}


@contextlib.contextmanager
def mlflow_server():
    """MLflow's own server on an empty store; yields its address."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
            "--backend-store-uri",
            f"sqlite:///{folder}/m.db",
            "--artifacts-destination",
            folder + "/files",
        ]
        with open(folder + "/log", "w+") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                url = f"http://127.0.0.1:{port}"
                for _ in range(600):
                    with contextlib.suppress(requests.ConnectionError):
                        requests.get(url + "/health", timeout=5)
                        break
                    if process.poll() is not None:
                        break
                    time.sleep(0.2)
                if process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError("mlflow server did not start:\n" + log.read())
                yield url
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, 15)
                process.wait(60)


class Recorder:
    """Notes the requests that go to a server, and what it answered."""

    def __init__(self, url):
        self.url, self.calls = url, []
        self.real = requests.Session.send

    def __enter__(self):
        def send(session, request, **kwargs):
            body = request.body
            if hasattr(body, "read"):
                body = request.body = body.read()
            answer = self.real(session, request, **kwargs)
            if request.url.startswith(self.url):
                self.calls.append(
                    (request.method, request.url[len(self.url) :], body, answer.status_code, answer.content)
                )
            return answer

        requests.Session.send = send
        return self

    def __exit__(self, *exc):
        requests.Session.send = self.real


def tidy(value):
    """An answer without what has no meaning: empty fields, the order of tags, params, metrics and latest versions."""
    if isinstance(value, dict):
        out = {k: t for k, v in value.items() if (t := tidy(v)) not in ("", 0, None, [], {}, False)}
        out.get("latest_versions", []).sort(key=lambda v: v["version"])
        return out
    if isinstance(value, list):
        out = [tidy(v) for v in value]
        if out and all(isinstance(v, dict) and "key" in v and "run_id" not in v for v in out):
            out.sort(key=lambda v: (v["key"], v.get("timestamp", 0), v.get("step", 0)))
        return out
    return value


def compare(want, got, where, learnt, found):
    """Adds to found the fields in which two answers differ."""
    field = re.sub(r"\[\d+\]$", "", where.rsplit(".", 1)[-1])
    if field in CLOCK:
        return
    if isinstance(want, dict) and isinstance(got, dict):
        for key in sorted(want.keys() | got.keys()):
            compare(want.get(key), got.get(key), f"{where}.{key}", learnt, found)
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for n, (a, b) in enumerate(zip(want, got, strict=True)):
            compare(a, b, f"{where}[{n}]", learnt, found)
    elif field in OWN and isinstance(want, str) and isinstance(got, str):
        if learnt.setdefault(want, got) != got and field != "next_page_token":
            found.append((where, want, f"{got} instead of {learnt[want]}"))
    elif want != got and not (isinstance(want, str) and want in learnt and learnt[want] == got):
        found.append((where, want, got))


def translate(text, learnt):
    """A request with the ids of the other server. Short ids stand in fields of their own."""
    for mine in sorted((k for k in learnt if len(k) > 8), key=len, reverse=True):
        text = text.replace(mine, learnt[mine]).replace(
            urllib.parse.quote(mine, safe=""), urllib.parse.quote(learnt[mine], safe="")
        )
    return text


def decode(content):
    try:
        return tidy(json.loads(content or b"{}"))
    except ValueError:
        return content


def replay(calls, url):
    """Sends the calls to a server; returns (request, where, want, got) of what differs."""
    learnt, out = {}, []
    for method, path, body, status, content in calls:
        path = translate(path, learnt)
        if isinstance(body, bytes) and body.startswith(b"{"):
            body = translate(body.decode(), learnt).encode()
        headers = {"Content-Type": "application/json"} if body and body.startswith(b"{") else {}
        answer = requests.request(method, url + path, data=body, headers=headers)
        request = (
            f"{method} {path.split('?')[0]} {(body or path.partition('?')[2].encode())[:160].decode(errors='replace')}"
        )
        if answer.status_code != status:
            out.append(
                (request, "status", f"{status} {content[:160]!r}", f"{answer.status_code} {answer.content[:200]!r}")
            )
            continue
        found = []
        compare(decode(content), decode(answer.content), "", learnt, found)
        out += [(request, *f) for f in found]
    return out


def main():
    os.environ.update(
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
    )
    with mlflow_server() as url, Recorder(url) as recorder:
        program(url)
    with slipway() as url:
        differences = replay(recorder.calls, url)
    allowed = [
        line.split(None, 2) for line in (HERE / "differences.txt").read_text().splitlines() if line and line[0] != "#"
    ]
    used, bad = set(), 0
    for request, where, want, got in differences:
        rows = [
            n
            for n, (path, field, _) in enumerate(allowed)
            if re.search(path, request) and re.fullmatch(field, re.sub(r"\[\d+\]", "[]", where))
        ]
        used.update(rows)
        if not rows:
            bad += 1
            print(f"{request}\n  {where}\n    MLflow:  {want!r:.300}\n    Slipway: {got!r:.300}")
    for n, (path, field, _) in enumerate(allowed):
        if n not in used:
            bad += 1
            print(f"differences.txt lists what does not differ: {path} {field}")
    print(f"{len(recorder.calls)} requests replayed, {bad} unexpected differences, {len(used)} known ones")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
