"""What the flavors have in common: the thing that predicts, what it knows of its columns, and the ways to ask it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockgate.worker.engines.proof import Candidate

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel


@dataclass(frozen=True, slots=True)
class Subject:
    """`edges` are (feature, value) pairs at which the answer may turn, `candidates` the ways, the fastest first.

    `features` and `names` are what the model itself knows about its columns.
    """

    features: int | None
    names: tuple[str, ...] | None
    edges: list[tuple[int, float]]
    candidates: Iterable[Candidate]


def subject_of(model: PyFuncModel, folder: Path) -> Subject | None:
    """What there is to know of a loaded version; None for a flavor that has nothing faster than MLflow's own way."""
    loader, method = loader_of(model)
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


def loader_of(model: PyFuncModel) -> tuple[str, str]:
    """The module that MLflow loaded the version with, and the method that its `predict` calls."""
    about = model.metadata.flavors["python_function"]
    return str(about.get("loader_module", "")), str(about.get("predict_fn", "predict"))


def _estimator(raw: Any, method: str) -> Subject:
    from lockgate.worker.engines import scikit_learn

    names = None if _knows_no_names(raw) else scikit_learn.names(raw)
    ways = scikit_learn.candidates(raw, method, names)
    return Subject(scikit_learn.width(raw), names, scikit_learn.edges(raw), ways)


def _knows_no_names(raw: Any) -> bool:
    # LightGBM never compares the names of columns, whatever they were when it was fitted
    return type(raw).__module__.startswith("lightgbm.")


def _lightgbm_booster(raw: Any) -> Subject:
    from lockgate.worker.engines import lightgbm

    def ways() -> Iterator[Candidate]:
        if fast := lightgbm.of_booster(raw):
            yield fast
        yield Candidate("its own predict on a matrix", raw.predict)

    return Subject(lightgbm.width(raw), None, [], ways())


def _xgboost(raw: Any, method: str) -> Subject:
    from lockgate.worker.engines import xgboost

    names = xgboost.names(raw)
    return Subject(xgboost.width(raw), names, [], xgboost.candidates(raw, method, names))


def _catboost(raw: Any, method: str) -> Subject:
    from lockgate.worker.engines import catboost

    return Subject(catboost.width(raw), catboost.names(raw), [], catboost.candidates(raw, method))


def _onnx(raw: Any, folder: Path, flavor: dict[str, Any]) -> Subject:
    from lockgate.worker.engines import sessions

    return Subject(sessions.width(raw), None, [], sessions.candidates(folder, flavor, raw))


def _torch(model: PyFuncModel) -> Subject | None:
    from lockgate.worker.engines import torch

    schema = model.metadata.get_input_schema()
    if schema is None or getattr(model._model_impl, "device", "") != "cpu":
        return None
    return Subject(None, None, [], torch.candidates(model.get_raw_model(), frames=not schema.is_tensor_spec()))
