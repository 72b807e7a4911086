"""The engine that is chosen for a real model gives what MLflow's own way gives, in every bit."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockgate.domain.policy import EngineKind
from lockgate.worker.engines import Undecided, choose
from lockgate.worker.engines.inputs import inputs_of
from lockgate.worker.engines.trial import same
from tests.integration.engines import models
from tests.integration.engines.models import COLUMNS, FEATURES

Load = Callable[[Path], Any]

FOREST, LINEAR = "a forest by its trees", "a linear model's own operations"
MATRIX, FRAME = "its own predict on a matrix", "its own predict on a data frame"
# whichever was quicker when it was loaded
QUICKER = ("LightGBM's trees as bit vectors", "LightGBM's own trees on one thread")
SIGNED: dict[str, tuple[Callable[..., Path], str | tuple[str, ...]]] = {
    "logistic": (partial(models.scikit_learn, name="logistic"), LINEAR),
    "logistic, texts": (partial(models.scikit_learn, name="logistic", words=True), LINEAR),
    "logistic, probabilities": (partial(models.scikit_learn, name="logistic", method="predict_proba"), LINEAR),
    "linear": (partial(models.scikit_learn, name="linear"), LINEAR),
    "ridge": (partial(models.scikit_learn, name="ridge"), LINEAR),
    "forest": (partial(models.scikit_learn, name="forest"), FOREST),
    "forest, texts": (partial(models.scikit_learn, name="forest", words=True), FOREST),
    "forest, probabilities": (partial(models.scikit_learn, name="forest", method="predict_proba"), FOREST),
    "scaled forest": (partial(models.scikit_learn, name="scaled forest"), FOREST),
    "forest of numbers": (partial(models.scikit_learn, name="forest of numbers"), FOREST),
    "extra trees": (partial(models.scikit_learn, name="extra trees"), FOREST),
    "tree": (partial(models.scikit_learn, name="tree"), FOREST),
    "histogram": (partial(models.scikit_learn, name="histogram"), MATRIX),
    "neighbours": (partial(models.scikit_learn, name="neighbours"), MATRIX),
    "support vectors": (partial(models.scikit_learn, name="support vectors"), MATRIX),
    "columns": (partial(models.scikit_learn, name="columns"), FRAME),
    **{
        f"LightGBM, {kind}": (partial(models.lightgbm, kind=kind), QUICKER)
        for kind in ("two", "three", "numbers", "booster")
    },
    **{
        f"XGBoost, {kind}": (partial(models.xgboost, kind=kind), "XGBoost's own trees on one thread")
        for kind in ("two", "three", "numbers", "booster")
    },
    **{
        f"CatBoost, {kind}": (partial(models.catboost, kind=kind), "CatBoost's own trees on one thread")
        for kind in ("two", "numbers")
    },
}


def _asked(model: Any, body: dict[str, Any]) -> Any:
    """What MLflow's scoring code gets from the model for this body."""
    from mlflow.pyfunc.scoring_server import _parse_json_data

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = _parse_json_data(json.dumps(body), model.metadata, model.metadata.get_input_schema()).data
        return model.predict(told)


def _rows(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, FEATURES)) * 3


# ways that another one in the list goes too
LONG = frozenset(
    {
        *("logistic, texts", "ridge", "forest, texts", "scaled forest", "extra trees", "tree", "neighbours"),
        *("LightGBM, numbers", "XGBoost, numbers", "CatBoost, numbers"),
    }
)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.long] if n in LONG else []) for n in SIGNED])
def test_a_models_own_way_answers_as_mlflow_does(name: str, tmp_path: Path, load: Load, request: Any) -> None:
    save, how = SIGNED[name]
    model = load(save(tmp_path / "model", signature=True))
    engine = choose(model, tmp_path / "model", EngineKind.NATIVE, None)

    assert engine is not None
    assert (engine.name, engine.features) == ("native", FEATURES)
    assert engine.how in (how if isinstance(how, tuple) else [how])
    assert engine.accepts.frames
    assert engine.accepts.columns == tuple(COLUMNS)
    batches = 300 if request.config.getoption("--long") else 6
    for seed in range(batches):
        rows = _rows((1, 2, 7, 33)[seed % 4], seed)
        told = _asked(model, {"dataframe_split": {"columns": COLUMNS, "data": rows.tolist()}})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert same(engine.predict(rows), told)


@pytest.mark.parametrize("name", ["logistic", "forest", "LightGBM, three", "XGBoost, two"])
def test_without_a_signature_frames_and_arrays_and_whole_numbers_are_tried_too(
    name: str, tmp_path: Path, load: Load
) -> None:
    save, how = SIGNED[name]
    model = load(save(tmp_path / "model", signature=False))
    engine = choose(model, tmp_path / "model", EngineKind.NATIVE, None)

    assert engine is not None
    assert engine.how in (how if isinstance(how, tuple) else [how])
    assert (engine.accepts.frames, engine.accepts.arrays) == (True, True)
    for rows in (_rows(1, 1), _rows(5, 2), _rows(4, 3).round()):
        data = rows.astype(int).tolist() if (rows == rows.round()).all() and engine.accepts.integers else rows.tolist()
        columns = list(engine.accepts.columns or COLUMNS)
        framed = _asked(model, {"dataframe_split": {"columns": columns, "data": data}})
        assert same(engine.predict(np.asfortranarray(rows)), framed)
        assert same(engine.predict(rows), _asked(model, {"inputs": data}))


def test_rows_are_put_together_only_where_each_gets_the_same_answer(tmp_path: Path, load: Load) -> None:
    for name, together in (("forest", True), ("logistic", True)):
        folder = models.scikit_learn(tmp_path / name, name, signature=True)
        engine = choose(load(folder), folder, EngineKind.NATIVE, None)
        assert engine is not None
        assert engine.rowwise is together
        rows = _rows(9, 4)
        alone = np.concatenate([engine.predict(rows[place : place + 1]) for place in range(9)])
        assert same(engine.predict(rows), alone)


def test_an_onnx_model_answers_with_names_as_mlflow_does(tmp_path: Path, load: Load) -> None:
    model = load(models.onnx(tmp_path / "model"))
    engine = choose(model, tmp_path / "model", EngineKind.NATIVE, None)

    assert engine is not None
    assert (engine.how, engine.outputs) == ("ONNX Runtime on one thread", ("variable",))
    rows = _rows(3, 1)
    told = _asked(model, {"dataframe_split": {"columns": COLUMNS, "data": rows.tolist()}})
    assert same(engine.predict(rows), told["variable"].to_numpy())


def test_what_scikit_learn_refuses_is_not_answered(tmp_path: Path, load: Load) -> None:
    for name in ("logistic", "forest", "linear"):
        folder = models.scikit_learn(tmp_path / name, name, signature=True)
        engine = choose(load(folder), folder, EngineKind.NATIVE, None)
        assert engine is not None
        for value in (np.inf, -np.inf) if name == "forest" else (np.nan, np.inf):
            rows = _rows(2, 5)
            rows[1, 2] = value
            with np.errstate(all="ignore"), pytest.raises(Undecided):
                engine.predict(rows)


def test_somebodys_own_code_is_asked_mlflows_way_only(tmp_path: Path, load: Load) -> None:
    model = load(models.custom(tmp_path / "model"))
    assert choose(model, tmp_path / "model", EngineKind.NATIVE, None) is None


def test_who_asks_for_mlflows_own_way_gets_no_engine(tmp_path: Path, load: Load) -> None:
    folder = models.scikit_learn(tmp_path / "model", "ridge", signature=True)
    assert choose(load(folder), folder, EngineKind.PYFUNC, None) is None


def test_an_engine_that_differs_in_one_bit_is_not_used(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lockgate.worker.engines.linear import linear as found

    def off_by_one(estimator: Any, method: str) -> Any:
        step = found(estimator, method)
        return step and (lambda rows: np.nextafter(step(rows), np.inf))

    folder = models.scikit_learn(tmp_path / "model", "linear", signature=True)
    monkeypatch.setattr("lockgate.worker.engines.scikit_learn.linear", off_by_one)
    engine = choose(load(folder), folder, EngineKind.NATIVE, None)
    assert engine is not None
    assert engine.how == MATRIX


def test_columns_that_are_no_numbers_are_left_to_mlflow(tmp_path: Path, load: Load) -> None:
    from mlflow.types import ColSpec, Schema

    model = load(models.scikit_learn(tmp_path / "model", "ridge", signature=True))
    model.metadata.signature.inputs = Schema([ColSpec("string", "f0"), *(ColSpec("double", x) for x in COLUMNS[1:])])
    assert inputs_of(model, FEATURES, None) is None
    assert choose(model, tmp_path / "model", EngineKind.NATIVE, None) is None
