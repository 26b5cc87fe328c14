"""Makes the database and artifacts that import tests read, by the real client.

    python3 source.py FOLDER    writes FOLDER/mlflow.db and FOLDER/artifacts

The tests read source.tar.gz, which is that folder as mlflow 3.17.2 made it.
"""

import json
import os
import pathlib
import sys

import mlflow
from mlflow.entities import Metric, Param, RunTag

folder = pathlib.Path(sys.argv[1]).resolve()
folder.mkdir(parents=True, exist_ok=True)
os.chdir(folder)
mlflow.set_tracking_uri("sqlite:///mlflow.db")
client = mlflow.MlflowClient()


def experiment(name):
    return client.create_experiment(name, artifact_location=f"mlflow-artifacts:/{name}", tags={"team": "blue"})


def log(run, points):
    for i in range(0, len(points), 1000):
        client.log_batch(run, metrics=points[i : i + 1000])


wine = experiment("wine")
parent = client.create_run(wine, start_time=1_700_000_000_000, run_name="sweep", tags={"mlflow.user": "ada"})
expected = {"runs": 0, "points": 0, "files": 0, "models": 0}
for n in range(3):
    run = client.create_run(wine, start_time=1_700_000_001_000 + n, run_name=f"trial {n}", tags={"mlflow.parentRunId": parent.info.run_id})
    rid = run.info.run_id
    client.log_batch(rid, params=[Param("depth", str(n)), Param("größe", "ä" * 10)], tags=[RunTag("note", "line\nline")])
    points = [Metric("loss", 1 / (i + 1 + n), 1_700_000_002_000 + i, i) for i in range(1200)]
    points += [Metric("odd", v, 5 + i, 7 - i) for i, v in enumerate([float("nan"), float("inf"), float("-inf"), 0.0])]
    points += [Metric("auc", 0.5 + n / 10, 9, 0)]
    log(rid, points)
    expected["points"] += len(points)
    where = folder / "artifacts" / "wine" / rid / "artifacts" / "plots"
    where.mkdir(parents=True)
    (where / "roc.txt").write_text(f"run {n}\n" * 100)
    expected["files"] += 1
    client.set_terminated(rid, status="FINISHED" if n else "FAILED", end_time=1_700_000_100_000)
client.delete_run(rid)
client.set_terminated(parent.info.run_id, end_time=1_700_000_200_000)
expected["runs"] += 4

mlflow.set_experiment("wine")
with mlflow.start_run(run_name="with data") as active:
    data = mlflow.data.from_numpy(__import__("numpy").arange(6.0).reshape(3, 2), name="grapes")
    mlflow.log_input(data, context="training")
    model = client.create_logged_model(wine, name="net", source_run_id=active.info.run_id, tags={"kind": "small"}, params={"layers": "2"}, model_type="demo")
    mlflow.log_metric("auc", 0.9, step=3, timestamp=77, model_id=model.model_id, dataset=data)
    expected["points"] += 1
    mlflow.log_outputs(models=[mlflow.entities.LoggedModelOutput(model.model_id, 3)])
    where = folder / "artifacts" / "wine" / "models" / model.model_id / "artifacts"
    where.mkdir(parents=True)
    (where / "weights.bin").write_bytes(bytes(range(256)) * 40)
    expected["files"] += 1
    client.finalize_logged_model(model.model_id, "READY")
    expected["models"] += 1
expected["runs"] += 1

old = experiment("old")
client.create_run(old, start_time=1)
client.delete_experiment(old)
expected["runs"] += 1

client.create_registered_model("net", tags={"owner": "ada"}, description="a small net")
for n in range(3):
    client.create_model_version("net", f"models:/{model.model_id}", run_id=active.info.run_id, description=f"version {n + 1}", tags={"n": str(n)})
client.delete_model_version("net", "2")
client.transition_model_version_stage("net", "1", "Production")
client.set_registered_model_alias("net", "best", "3")
(folder / "expected.json").write_text(json.dumps(expected))

mlflow.tracking._tracking_service.utils._get_store().engine.dispose()
with __import__("sqlite3").connect(folder / "mlflow.db") as db:
    db.execute("VACUUM")
