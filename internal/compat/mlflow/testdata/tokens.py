"""What clients with tokens of two projects see, through the unmodified MLflow client.

Run by TestTokensOfTheClient with MLFLOW_TRACKING_URI set; a token is the role, a dash and the project.
"""

import os
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


def by_token(secret):
    os.environ.pop("MLFLOW_TRACKING_USERNAME", None)
    os.environ.pop("MLFLOW_TRACKING_PASSWORD", None)
    os.environ["MLFLOW_TRACKING_TOKEN"] = secret


def by_password(secret):
    os.environ.pop("MLFLOW_TRACKING_TOKEN", None)
    os.environ["MLFLOW_TRACKING_USERNAME"] = "ada"
    os.environ["MLFLOW_TRACKING_PASSWORD"] = secret


def refused(what, code, fn):
    try:
        fn()
    except MlflowException as e:
        check(what, e.error_code, code)
    else:
        sys.exit(f"{what}: nobody refused it")


client = MlflowClient()
for come in (by_token, by_password):
    for project, other in (("a", "b"), ("b", "a")):
        come(f"reader-{project}")
        check("experiments", [e.name for e in client.search_experiments()], [f"exp-{project}"])
        check("models", [m.name for m in client.search_registered_models()], [f"name-{project}"])
        mine = client.get_experiment_by_name(f"exp-{project}").experiment_id
        check("another's experiment", client.get_experiment_by_name(f"exp-{other}"), None)
        run = client.search_runs([mine])[0]
        check("artifacts", [f.path for f in client.list_artifacts(run.info.run_id)], ["a.txt"])
        refused("a reader logs", "PERMISSION_DENIED", lambda: client.log_metric(run.info.run_id, "m", 1))
        refused("a reader creates", "PERMISSION_DENIED", lambda: client.create_experiment("new"))
        refused("a reader registers", "PERMISSION_DENIED", lambda: client.create_registered_model("new"))
        come(f"writer-{project}")
        mlflow.set_experiment(f"mine {come.__name__}")
        with mlflow.start_run() as active:
            mlflow.log_metric("m", 1)
            mlflow.log_text("text", "t.txt")
        come(f"admin-{other}")
        refused("another project reads", "PERMISSION_DENIED", lambda: client.get_run(active.info.run_id))
        check("another project searches", len(client.search_runs([active.info.experiment_id])), 0)
        come(f"writer-{project}")
        client.delete_experiment(active.info.experiment_id)
        client.restore_experiment(active.info.experiment_id)
        client.rename_experiment(active.info.experiment_id, f"done {come.__name__}")
        client.delete_experiment(active.info.experiment_id)

by_token("nonsense")
refused("no token of anybody", "UNAUTHENTICATED", lambda: client.search_experiments())
print("everybody sees their own")
