"""Measuring the engines of a real model in a process of its own, and the converted file that comes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockgate.adapters.sandbox.measuring import ProcessBench
from lockgate.domain.engines import Figures
from lockgate.domain.policy import EngineKind
from lockgate.domain.versions import VersionRef
from lockgate.usecases.engine_ports import Measured, MeasureRequest
from lockgate.usecases.program_ports import Programs
from lockgate.worker.engines import Undecided, choose
from lockgate.worker.engines import measuring as worker_side
from lockgate.worker.engines.parity import rows_for
from lockgate.worker.engines.trial import same
from tests.integration.engines import models
from tests.integration.engines.models import FEATURES

Load = Callable[[Path], Any]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are not looked at here, so they need not be good ones."""
    monkeypatch.setattr(worker_side, "_SECONDS", 0.01)


def _measured(load: Load, folder: Path, into: Path) -> tuple[dict[EngineKind, Figures], str]:
    told, digest = worker_side.measure(load(folder), folder, into, lambda _: None)
    return {each.engine: each for each in told}, digest


@pytest.mark.parametrize("name", ["forest", "logistic", "LightGBM", "XGBoost", "CatBoost"])
def test_a_converted_model_that_passes_answers_with_the_same_labels(name: str, tmp_path: Path, load: Load) -> None:
    folder = {
        "forest": lambda: models.scikit_learn(tmp_path / "model", "forest", signature=True, words=True),
        "logistic": lambda: models.scikit_learn(tmp_path / "model", "logistic", signature=True),
        "LightGBM": lambda: models.lightgbm(tmp_path / "model", "two", signature=True),
        "XGBoost": lambda: models.xgboost(tmp_path / "model", "three", signature=True),
        "CatBoost": lambda: models.catboost(tmp_path / "model", "two", signature=True),
    }[name]()
    figures, digest = _measured(load, folder, tmp_path)

    for kind in EngineKind:
        assert figures[kind].applies, figures[kind].because
        assert figures[kind].one_row_us > 0
    native, onnx = figures[EngineKind.NATIVE].parity, figures[EngineKind.ONNX].parity
    assert native is not None
    assert onnx is not None
    assert (native.different, native.fine, native.passed) == (0, 0, True)
    assert (onnx.different, onnx.passed) == (0, True)
    assert onnx.turning > 100
    file = tmp_path / digest.replace(":", "-")
    assert f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" == digest

    model = load(folder)
    engine, exact = (choose(model, folder, kind, file) for kind in (EngineKind.ONNX, EngineKind.NATIVE))
    assert engine is not None
    assert exact is not None
    assert engine.name == "onnx"
    rows = np.random.default_rng(3).normal(size=(500, FEATURES)) * 3
    assert same(engine.predict(rows), exact.predict(rows))
    rows[3, 3] = np.nan
    with pytest.raises(Undecided):
        engine.predict(rows)


def test_a_converted_model_that_answers_otherwise_is_not_kept(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lockgate.worker.engines import converting

    # as converters do it: to the nearest float32
    monkeypatch.setattr(converting, "_rounded", lambda booster: booster)
    folder = models.lightgbm(tmp_path / "model", "two", signature=True)
    figures, digest = _measured(load, folder, tmp_path)
    parity = figures[EngineKind.ONNX].parity

    assert parity is not None
    assert (parity.passed, digest) == (False, "")
    assert parity.different > 0
    assert not list(tmp_path.glob("sha256-*"))


def test_a_file_that_is_no_conversion_of_the_version_does_not_serve(tmp_path: Path, load: Load) -> None:
    one = models.scikit_learn(tmp_path / "one", "forest", signature=True)
    other = models.xgboost(tmp_path / "other", "three", signature=True)
    _, digest = _measured(load, other, tmp_path)
    engine = choose(load(one), one, EngineKind.ONNX, tmp_path / digest.replace(":", "-"))
    assert engine is not None
    assert engine.name == "native"

    (tmp_path / "nonsense").write_bytes(b"nonsense")
    engine = choose(load(one), one, EngineKind.ONNX, tmp_path / "nonsense")
    assert engine is not None
    assert engine.name == "native"


def test_an_engine_that_cannot_be_had_says_why(tmp_path: Path, load: Load) -> None:
    figures, digest = _measured(load, models.custom(tmp_path / "own"), tmp_path)
    assert digest == ""
    assert not any(each.applies for each in figures.values())
    assert all(each.because for each in figures.values())

    figures, digest = _measured(load, models.scikit_learn(tmp_path / "model", "histogram", signature=True), tmp_path)
    assert figures[EngineKind.NATIVE].applies


def test_rows_on_both_sides_of_a_turn_are_neighbours(tmp_path: Path, load: Load) -> None:
    from lockgate.worker.engines.choosing import inputs_and_example

    folder = models.scikit_learn(tmp_path / "model", "logistic", signature=True)
    model = load(folder)
    found, engine = inputs_and_example(model, folder), choose(model, folder, EngineKind.NATIVE, None)
    assert found is not None
    assert engine is not None
    trials = rows_for(model, found[0], found[1], engine.predict)
    fine = trials.rows[trials.fine]
    one, other = fine[: len(fine) // 2], fine[len(fine) // 2 :]

    assert len(one) > 50
    assert (engine.predict(one) != engine.predict(other)).any()
    assert np.all(np.abs(one - other) <= np.spacing(np.maximum(np.abs(one), np.abs(other))))


def test_the_bench_measures_apart_and_keeps_the_file_by_its_digest(tmp_path: Path, programs: Programs) -> None:
    folder = models.scikit_learn(tmp_path / "model", "forest", signature=True)
    bench = ProcessBench(tmp_path / "scratch", tmp_path / "kept", programs)
    told = bench.measure(MeasureRequest(VersionRef("fraud", 7), folder, timedelta(seconds=100)))

    assert told.because == ""
    assert [each.engine for each in told.figures] == list(EngineKind)
    kept = tmp_path / "kept" / told.converted.replace(":", "-")
    assert f"sha256:{hashlib.sha256(kept.read_bytes()).hexdigest()}" == told.converted
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_model_that_does_not_load_is_a_reason(tmp_path: Path, programs: Programs) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {python_function: {loader_module: nobody.has.this}}\n")
    bench = ProcessBench(tmp_path / "scratch", tmp_path / "kept", programs)
    told = bench.measure(MeasureRequest(VersionRef("fraud", 7), folder, timedelta(seconds=100)))

    assert told == Measured(because=told.because)
    assert "nobody" in told.because


def test_a_measuring_that_takes_too_long_is_ended(tmp_path: Path, programs: Programs) -> None:
    bench = ProcessBench(tmp_path / "scratch", tmp_path / "kept", programs)
    folder = models.scikit_learn(tmp_path / "model", "ridge", signature=True)
    told = bench.measure(MeasureRequest(VersionRef("fraud", 7), folder, timedelta(seconds=0)))
    assert told.because.startswith("did not finish within 0 s")
