"""The choice of the engine that answers for a loaded version: the fastest one that is proved to be right."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockgate.domain.policy import EngineKind
from lockgate.worker.engines.engine import Accepts, Engine
from lockgate.worker.engines.inputs import Inputs, inputs_of
from lockgate.worker.engines.proof import Candidate, Predict, Proof

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

_log = logging.getLogger("lockgate.worker")


def choose(model: PyFuncModel, folder: Path, wanted: EngineKind, converted: Path | None) -> Engine | None:
    """The engine for a version that `mlflow.pyfunc` loaded from `folder`; None: only MLflow's own way is right.

    `NATIVE` is tried on rows here and used only where it equals MLflow's answers. `converted` is the ONNX file of a
    release whose policy wants it. Whatever goes wrong on the way means None: a version that loads can always be served.
    """
    if wanted is EngineKind.PYFUNC:
        return None
    if converted is not None:
        _log.info("a converted model cannot be used yet: %s", converted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _native(model, folder)
    except Exception:  # noqa: BLE001 - somebody's model may raise anything here, and MLflow's own way is always there
        _log.exception("no engine could be tried; MLflow's own way answers")
        return None


@dataclass(slots=True)
class Proved:
    """An engine whose answers were found to be those of `pyfunc`."""

    name: str
    how: str
    features: int
    rowwise: bool
    accepts: Accepts
    outputs: tuple[str, ...] | None
    ask: Predict

    def predict(self, rows: Any) -> Any:
        """As in `Engine`."""
        return self.ask(rows)


@dataclass(frozen=True, slots=True)
class _Subject:
    """What the flavors have in common: the thing that predicts, what it knows of its columns, and ways to ask it."""

    features: int | None
    names: tuple[str, ...] | None
    edges: list[tuple[int, float]]
    candidates: Iterable[Candidate]


def _native(model: PyFuncModel, folder: Path) -> Engine | None:
    subject = _subject(model, folder)
    if subject is None:
        return None
    inputs = inputs_of(model, subject.features, subject.names)
    if inputs is None:
        return None
    proof = Proof.of(model, inputs, _example(model, folder, inputs), subject.edges)
    for candidate in subject.candidates:
        ask = _typed(candidate.predict, inputs)
        accepts = proof.accepts(Candidate(candidate.how, ask))
        if accepts is not None:
            _log.info("engine: %s (%s)", EngineKind.NATIVE, candidate.how)
            return Proved(
                EngineKind.NATIVE, candidate.how, inputs.features, proof.rowwise(ask), accepts, proof.outputs, ask
            )
        _log.info("not equal to MLflow's own way, so not used: %s", candidate.how)
    return None


def _subject(model: PyFuncModel, folder: Path) -> _Subject | None:
    about = model.metadata.flavors["python_function"]
    loader, method = str(about.get("loader_module", "")), str(about.get("predict_fn", "predict"))
    if loader == "mlflow.sklearn":
        return _estimator(model.get_raw_model(), method)
    if loader == "mlflow.lightgbm" and method == "predict":
        raw = model.get_raw_model()
        return _lightgbm_booster(raw) if type(raw).__name__ == "Booster" else _estimator(raw, method)
    if loader == "mlflow.xgboost":
        return _xgboost(model.get_raw_model(), method)
    if loader == "mlflow.catboost" and method == "predict":
        return _catboost(model.get_raw_model(), method)
    if loader == "mlflow.onnx":
        return _onnx(model.get_raw_model(), folder, model.metadata.flavors.get("onnx", {}))
    if loader == "mlflow.pytorch":
        return _torch(model)
    return None


def _estimator(raw: Any, method: str) -> _Subject:
    from lockgate.worker.engines import scikit_learn

    names = None if _knows_no_names(raw) else scikit_learn.names(raw)
    ways = scikit_learn.candidates(raw, method, names)
    return _Subject(scikit_learn.width(raw), names, scikit_learn.edges(raw), ways)


def _knows_no_names(raw: Any) -> bool:
    # LightGBM never compares the names of columns, whatever they were when it was fitted
    return type(raw).__module__.startswith("lightgbm.")


def _lightgbm_booster(raw: Any) -> _Subject:
    from lockgate.worker.engines import lightgbm

    def ways() -> Iterator[Candidate]:
        if fast := lightgbm.of_booster(raw):
            yield fast
        yield Candidate("its own predict on a matrix", raw.predict)

    return _Subject(lightgbm.width(raw), None, [], ways())


def _xgboost(raw: Any, method: str) -> _Subject:
    from lockgate.worker.engines import xgboost

    names = xgboost.names(raw)
    return _Subject(xgboost.width(raw), names, [], xgboost.candidates(raw, method, names))


def _catboost(raw: Any, method: str) -> _Subject:
    from lockgate.worker.engines import catboost

    return _Subject(catboost.width(raw), catboost.names(raw), [], catboost.candidates(raw, method))


def _onnx(raw: Any, folder: Path, flavor: dict[str, Any]) -> _Subject:
    from lockgate.worker.engines import sessions

    return _Subject(sessions.width(raw), None, [], sessions.candidates(folder, flavor, raw))


def _torch(model: PyFuncModel) -> _Subject | None:
    from lockgate.worker.engines import torch

    schema = model.metadata.get_input_schema()
    if schema is None or getattr(model._model_impl, "device", "") != "cpu":
        return None
    return _Subject(None, None, [], torch.candidates(model.get_raw_model(), frames=not schema.is_tensor_spec()))


def _typed(ask: Predict, inputs: Inputs) -> Predict:
    """With the matrix made what the model would see: float32 where all columns are, columns first for a data frame."""
    import numpy as np

    if inputs.single:
        order = "F" if inputs.frames else "C"
        return lambda rows: ask(rows.astype(np.float32, order=order))
    if inputs.arrays:
        return ask
    return lambda rows: ask(np.asfortranarray(rows))


def _example(model: PyFuncModel, folder: Path, inputs: Inputs) -> Any | None:
    """The model's own input example as a matrix of at most eight rows, where it has one that fits."""
    import numpy as np

    if model.metadata.saved_input_example_info is None:
        return None
    try:
        rows = np.asarray(model.metadata.load_input_example(str(folder)), dtype=np.float64)
    except Exception:  # noqa: BLE001 - an example that is no matrix says nothing about rows
        return None
    return rows[:8] if rows.ndim == 2 and rows.shape[1] == inputs.features and np.isfinite(rows).all() else None
