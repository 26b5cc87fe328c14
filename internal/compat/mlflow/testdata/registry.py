"""What a team does with the model registry through the unmodified MLflow client.

Run by TestUnmodifiedRegistryClient with MLFLOW_TRACKING_URI set to a server of ours.
"""

import sys

import lightgbm
import mlflow
import mlflow.lightgbm
import mlflow.sklearn
import mlflow.xgboost
import numpy as np
import pandas as pd
import xgboost
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LogisticRegression

client = MlflowClient()
rng = np.random.default_rng(1)
x = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
y = (x["a"] + x["b"] > 0).astype(int)


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


def refused(what, code, part, fn, *args, **kwargs):
    try:
        fn(*args, **kwargs)
    except MlflowException as e:
        check(f"{what}: code", e.error_code, code)
        if part not in str(e):
            sys.exit(f"{what}: {e} does not say {part!r}")
        return
    sys.exit(f"{what} was accepted")


def loads_by_every_uri(name, info, loader, predict, want):
    """The version that log_model registered, by each way to name it."""
    check(f"{name}: registered", [v.version for v in client.search_model_versions(f"name = '{name}'")], ["1"])
    version = client.get_model_version(name, 1)
    check(f"{name}: run", version.run_id, info.run_id)
    check(f"{name}: source", version.source, info.model_uri)
    check(f"{name}: status", version.status, "READY")
    client.set_registered_model_alias(name, "best", "1")
    client.transition_model_version_stage(name, 1, "Production")
    uris = [info.model_uri, f"models:/{info.model_id}", f"runs:/{info.run_id}/model", f"models:/{name}/1", f"models:/{name}@best", f"models:/{name}/Production", f"models:/{name}/latest"]
    for uri in uris:
        check(f"{name}: {uri}", np.allclose(predict(loader(uri)), want), True)
        check(f"{name}: {uri} as a function", np.allclose(mlflow.pyfunc.load_model(uri).predict(x), want), True)


def sklearn_model():
    model = LogisticRegression().fit(x, y)
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(model, name="model", registered_model_name="linear", input_example=x.head(2))
    loads_by_every_uri("linear", info, mlflow.sklearn.load_model, lambda m: m.predict(x), model.predict(x))
    tag = mlflow.get_logged_model(info.model_id).tags["mlflow.modelVersions"]
    check("the logged model knows its versions", tag, '[{"name": "linear", "version": 1}, {"name": "linear", "version": "1"}]')
    return info


def lightgbm_model():
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(x, y), num_boost_round=5)
    with mlflow.start_run():
        info = mlflow.lightgbm.log_model(booster, name="model", registered_model_name="trees")
    loads_by_every_uri("trees", info, mlflow.lightgbm.load_model, lambda m: m.predict(x), booster.predict(x))


def xgboost_model():
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(x, y), num_boost_round=5)
    with mlflow.start_run():
        info = mlflow.xgboost.log_model(booster, name="model", registered_model_name="boosted")
    data = xgboost.DMatrix(x)
    loads_by_every_uri("boosted", info, mlflow.xgboost.load_model, lambda m: m.predict(data), booster.predict(data))


def names_and_notes(info):
    check("again", mlflow.register_model(info.model_uri, "linear").version, "2")
    client.update_registered_model("linear", "predicts late flights")
    client.update_model_version("linear", 2, "the second")
    client.set_registered_model_tag("linear", "team", "ops")
    client.set_model_version_tag("linear", "2", "checked", "yes")
    model = client.get_registered_model("linear")
    check("description", (model.description, model.tags, model.aliases), ("predicts late flights", {"team": "ops"}, {"best": "1"}))
    version = client.get_model_version("linear", 2)
    check("version", (version.description, version.tags, version.aliases), ("the second", {"checked": "yes"}, []))
    check("latest", {v.current_stage: v.version for v in model.latest_versions}, {"Production": "1", "None": "2"})
    client.transition_model_version_stage("linear", 2, "production", archive_existing_versions=True)
    check("archived", {v.version: v.current_stage for v in client.search_model_versions("name = 'linear'")}, {"1": "Archived", "2": "Production"})
    refused("latest as an alias", "INVALID_PARAMETER_VALUE", "reserved", client.set_registered_model_alias, "linear", "latest", "1")
    refused("a made-up stage", "INVALID_PARAMETER_VALUE", "Invalid Model Version stage", client.transition_model_version_stage, "linear", 2, "Testing")
    refused("archiving into None", "INVALID_PARAMETER_VALUE", "not an Active stage", client.transition_model_version_stage, "linear", 2, "None", archive_existing_versions=True)
    refused("no such alias", "INVALID_PARAMETER_VALUE", "alias none not found", client.get_model_version_by_alias, "linear", "none")
    refused("a name twice", "RESOURCE_ALREADY_EXISTS", "already exists", client.create_registered_model, "linear")
    refused("a name with a slash", "INVALID_PARAMETER_VALUE", "cannot contain", client.create_registered_model, "a/b")
    refused("the server's disk", "INVALID_PARAMETER_VALUE", "local path", client.create_model_version, "linear", "file:///etc")
    refused("a version of nothing", "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=none not found", client.create_model_version, "none", "s3://b/m")


def searches():
    def found(text, **kwargs):
        return [m.name for m in client.search_registered_models(text, **kwargs)]

    check("all", found(None), ["boosted", "linear", "trees"])
    check("by tag", found("tags.team = 'ops'"), ["linear"])
    check("by tag and name", found("tags.team LIKE 'o%' AND name ILIKE 'LIN%'"), ["linear"])
    check("several", found("name IN ('trees', 'boosted')"), ["boosted", "trees"])
    check("order", found(None, order_by=["name DESC"]), ["trees", "linear", "boosted"])
    check("newest", found(None, order_by=["last_updated_timestamp DESC"], max_results=1), ["linear"])
    page = client.search_registered_models(max_results=2)
    check("second page", [m.name for m in client.search_registered_models(max_results=2, page_token=page.token)], ["trees"])
    version = client.get_model_version("linear", 2)
    check("by run", [v.name for v in client.search_model_versions(f"run_id = '{version.run_id}'", order_by=["version_number"])], ["linear", "linear"])
    check("by number", [v.name for v in client.search_model_versions("version_number > 1")], ["linear"])
    check("by version tag", [v.version for v in client.search_model_versions("tags.checked = 'yes'")], ["2"])
    for text in ["nothing = 'x'", "name >", "creation_timestamp > 3", "name = 'a' OR name = 'b'", "metrics.a > 1"]:
        refused(text, "INVALID_PARAMETER_VALUE", "", client.search_registered_models, text)
    refused("an order that is none", "INVALID_PARAMETER_VALUE", "", client.search_registered_models, order_by=["tags.team"])


def copies_and_ends():
    copy = client.copy_model_version("models:/linear@best", "approved")
    source = client.get_model_version("linear", 1)
    check("copy", (copy.name, copy.version, copy.source, copy.run_id), ("approved", "1", "models:/linear/1", source.run_id))
    want = mlflow.sklearn.load_model("models:/linear/1").predict(x)
    client.rename_registered_model("linear", "linear model 2")
    refused("the old name", "RESOURCE_DOES_NOT_EXIST", "not found", client.get_registered_model, "linear")
    renamed = client.get_registered_model("linear model 2")
    check("renamed", (renamed.tags, renamed.aliases, len(renamed.latest_versions)), ({"team": "ops"}, {"best": "1"}, 2))
    for uri in ["models:/linear model 2/1", "models:/linear model 2@best", "models:/approved/1"]:
        check(uri, np.array_equal(mlflow.sklearn.load_model(uri).predict(x), want), True)
    refused("a taken name", "RESOURCE_ALREADY_EXISTS", "already exists", client.rename_registered_model, "approved", "trees")

    # The files stay as long as the version does, whatever becomes of the run.
    client.delete_logged_model(source.source.removeprefix("models:/"))
    client.delete_run(source.run_id)
    check("after its run", np.array_equal(mlflow.sklearn.load_model("models:/approved/1").predict(x), want), True)

    client.delete_model_version("linear model 2", "1")
    refused("a deleted version", "RESOURCE_DOES_NOT_EXIST", "not found", client.get_model_version, "linear model 2", "1")
    check("its alias went with it", client.get_registered_model("linear model 2").aliases, {})
    client.delete_registered_model("linear model 2")
    check("deleted", [m.name for m in client.search_registered_models()], ["approved", "boosted", "trees"])
    client.create_registered_model("linear model 2")
    check("made again", client.get_registered_model("linear model 2").latest_versions, [])


def elsewhere():
    """Files that the server does not keep are registered by their address."""
    client.create_registered_model("far")
    version = client.create_model_version("far", "s3://bucket/model", "0" * 32)
    check("address", client.get_model_version_download_uri("far", version.version), "s3://bucket/model")
    check("copy of it", client.get_model_version_download_uri("far", client.copy_model_version("models:/far/1", "far").version), "s3://bucket/model")


mlflow.set_experiment("registry")
logged = sklearn_model()
lightgbm_model()
xgboost_model()
names_and_notes(logged)
searches()
copies_and_ends()
elsewhere()
print("the registry works with mlflow", mlflow.__version__)
