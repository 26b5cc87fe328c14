"""Reads an export with the real MLflow, over a server of its own, and prints what it holds as JSON.

    python3 exported.py FOLDER

Run by TestExportIsReadByMLflow. The server brings the schema of FOLDER/mlflow.db up to its own.
"""

import hashlib
import json
import math
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

folder = pathlib.Path(sys.argv[1]).resolve()
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", GIT_PYTHON_REFRESH="quiet", MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false")
command = ["server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
server = subprocess.Popen(
    [sys.executable, "-m", "mlflow", *command, "--artifacts-destination", str(folder / "artifacts")], cwd=folder, stdout=sys.stderr
)


def await_server():
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("MLflow does not start")


def hashes(path):
    found = {}
    for file in sorted(pathlib.Path(path).rglob("*")):
        if file.is_file():
            found[file.relative_to(path).as_posix()] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def number(value):
    return -1e307 if math.isnan(value) else value


def read():
    import mlflow
    from mlflow.entities import ViewType

    client = mlflow.MlflowClient(f"http://127.0.0.1:{port}")
    mlflow.set_tracking_uri(f"http://127.0.0.1:{port}")
    params, points, files, versions = {}, {}, {}, {}
    for experiment in client.search_experiments(view_type=ViewType.ALL):
        for run in client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL):
            rid = run.info.run_id
            params[rid] = run.data.params
            for key, latest in run.data.metrics.items():
                history = client.get_metric_history(rid, key)
                points[f"{rid} {key}"] = [[m.step, m.timestamp, number(m.value)] for m in history]
                last = max(history, key=lambda m: (m.step, m.timestamp, number(m.value)))
                if number(last.value) != number(latest):
                    sys.exit(f"{rid}: the latest {key} is {latest}, not {last.value}")
            with tempfile.TemporaryDirectory() as to:
                path = mlflow.artifacts.download_artifacts(run_id=rid, dst_path=to) if client.list_artifacts(rid) else to
                files.update({f"{rid}/{name}": digest for name, digest in hashes(path).items()})
        if experiment.lifecycle_stage == "active":
            for model in client.search_logged_models([experiment.experiment_id]):
                with tempfile.TemporaryDirectory() as to:
                    path = mlflow.artifacts.download_artifacts(f"models:/{model.model_id}", dst_path=to)
                    files.update({f"{model.model_id}/{name}": digest for name, digest in hashes(path).items()})
    for version in client.search_model_versions("name='net'"):
        with tempfile.TemporaryDirectory() as to:
            path = mlflow.artifacts.download_artifacts(client.get_model_version_download_uri("net", version.version), dst_path=to)
            versions[str(version.version)] = [version.current_stage, hashes(path).get("weights.bin", "")]
    alias = str(client.get_model_version_by_alias("net", "best").version)
    print(json.dumps({"Params": params, "Points": points, "Files": files, "Versions": versions, "Alias": alias}))


try:
    await_server()
    read()
finally:
    server.terminate()
    server.wait()
