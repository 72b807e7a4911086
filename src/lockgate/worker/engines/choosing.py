"""The choice of the engine that answers for a loaded version: the fastest one that is proved to be right."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockgate.domain.policy import EngineKind
from lockgate.worker.engines.converted import NotUsable, asking, near
from lockgate.worker.engines.engine import Accepts, Engine
from lockgate.worker.engines.inputs import Inputs, inputs_of
from lockgate.worker.engines.proof import Candidate, Predict, Proof
from lockgate.worker.engines.subjects import subject_of

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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if wanted is EngineKind.ONNX and converted is not None and (engine := _onnx(model, folder, converted)):
                return engine
            return native(model, folder)
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


def native(model: PyFuncModel, folder: Path) -> Engine | None:
    """The fastest of the flavor's own ways that equals MLflow's answers on rows of many kinds, if there is one."""
    subject = subject_of(model, folder)
    if subject is None:
        return None
    inputs = inputs_of(model, subject.features, subject.names)
    if inputs is None:
        return None
    proof = Proof.of(model, inputs, _example(model, folder, inputs), subject.edges)
    for candidate in subject.candidates:
        ask = typed(candidate.predict, inputs)
        accepts = proof.accepts(Candidate(candidate.how, ask))
        if accepts is not None:
            _log.info("engine: %s (%s)", EngineKind.NATIVE, candidate.how)
            return Proved(
                EngineKind.NATIVE, candidate.how, inputs.features, proof.rowwise(ask), accepts, proof.outputs, ask
            )
        _log.info("not equal to MLflow's own way, so not used: %s", candidate.how)
    return None


def inputs_and_example(model: PyFuncModel, folder: Path) -> tuple[Inputs, Any | None] | None:
    """What a loaded version takes, and its own example as a matrix; None where it takes no matrix of numbers."""
    subject = subject_of(model, folder)
    inputs = None if subject is None else inputs_of(model, subject.features, subject.names)
    return None if inputs is None else (inputs, _example(model, folder, inputs))


def _onnx(model: PyFuncModel, folder: Path, file: Path) -> Engine | None:
    """The converted version, tried here once more on a few rows; None where it does not stand that."""
    found = inputs_and_example(model, folder)
    if found is None:
        return None
    inputs, example = found
    proof = Proof.of(model, inputs, example, [])
    like = next((case.expected for case in proof.cases if case.expected is not None), None)
    try:
        ask = asking(file, model, like)
    except NotUsable as error:
        _log.error("the converted model is not used: %s", error)
        return None
    accepts = proof.accepts(Candidate("ONNX Runtime", ask), near)
    if accepts is None or proof.outputs is not None:
        _log.error("the converted model is not used: it does not answer as MLflow does")
        return None
    rowwise = proof.rowwise(ask, near)
    _log.info("engine: %s", EngineKind.ONNX)
    return Proved(EngineKind.ONNX, "ONNX Runtime", inputs.features, rowwise, accepts, None, ask)


def typed(ask: Predict, inputs: Inputs) -> Predict:
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
