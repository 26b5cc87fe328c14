"""save_model: what has an exact form is written in it, all else is pickled with the reason."""

from __future__ import annotations

import json
import pathlib
import pickle

import pytest

import slipway
from slipway.model_form_check import predict

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

from sklearn.compose import make_column_transformer  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler  # noqa: E402


def table():
    r = numpy.random.default_rng(1)
    x = pandas.DataFrame({"a": r.normal(size=200), "city": r.choice(["x", "y", "z"], 200)})
    return x, (x["a"] + (x["city"] == "x") > 0.3).astype(int)


def test_a_pipeline_is_written_natively(tmp_path: pathlib.Path) -> None:
    x, y = table()
    model = make_pipeline(
        make_column_transformer((StandardScaler(), ["a"]), (OneHotEncoder(), ["city"])), LogisticRegression()
    )
    saved = slipway.save_model(model.fit(x, y), tmp_path / "model.json", x)
    assert saved == slipway.Saved(tmp_path / "model.json", True, "")
    form = json.loads(saved.path.read_text())
    assert [c["name"] for c in form["columns"]] == ["a", "city"]
    assert form["columns"][1]["known"] == ["x", "y", "z"]
    assert numpy.abs(predict(form, x) - model.predict_proba(x)).max() < 1e-12
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]


@pytest.mark.parametrize(
    ("step", "reason"),
    [(PCA(1), "PCA"), (FunctionTransformer(lambda x: x * 2), "function"), (StandardScaler(), "")],
)
def test_what_has_no_form_is_pickled(tmp_path: pathlib.Path, step: object, reason: str) -> None:
    x, y = table()
    model = make_pipeline(step, RandomForestRegressor(3)).fit(x[["a"]].to_numpy(), y)
    if "function" in reason:  # a lambda cannot be pickled either
        with pytest.raises(slipway.SlipwayError, match=r"function '<lambda>'.* cannot be pickled"):
            slipway.save_model(model, tmp_path / "model", x[["a"]].to_numpy())
        return
    saved = slipway.save_model(model, tmp_path / "model", x[["a"]].to_numpy())
    assert saved.native == (not reason) and reason in saved.reason
    if reason:
        assert pickle.loads(saved.path.read_bytes()).predict([[1.0]]) == model.predict([[1.0]])


def test_a_form_that_answers_otherwise_is_not_written(tmp_path: pathlib.Path) -> None:
    x, y = table()
    model = HistGradientBoostingClassifier(max_iter=3).fit(x[["a"]], y)
    model._baseline_prediction = model._baseline_prediction + 0  # a model that is what it says
    assert slipway.save_model(model, tmp_path / "good", x[["a"]]).native

    class Liar(HistGradientBoostingClassifier):
        def predict_proba(self, rows):
            return super().predict_proba(rows)[:, ::-1]

    Liar.__name__, Liar.__module__ = HistGradientBoostingClassifier.__name__, HistGradientBoostingClassifier.__module__
    model.__class__ = Liar
    with pytest.raises(slipway.SlipwayError, match="did not answer as the estimator does: its answers differ"):
        slipway.save_model(model, tmp_path / "bad", x[["a"]])
    assert not (tmp_path / "bad").exists()


def test_no_sample_no_model(tmp_path: pathlib.Path) -> None:
    with pytest.raises(slipway.SlipwayError, match="no rows"):
        slipway.save_model(LogisticRegression(), tmp_path / "m", [])
    with pytest.raises(slipway.SlipwayError, match="no predict"):
        slipway.save_model(object(), tmp_path / "m", [1])
