"""An XGBoost booster through its C interface, on one thread and without the data frame."""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from lockgate.worker.engines.engine import Undecided
from lockgate.worker.engines.proof import Candidate

Step = Callable[[Any], Any]
_HOW = "XGBoost's own trees on one thread"


def candidates(raw: Any, method: str, names: tuple[str, ...] | None) -> Iterator[Candidate]:
    """Every way that may give what MLflow gives for a booster or one of XGBoost's scikit-learn classes."""
    import xgboost

    booster = raw if isinstance(raw, xgboost.Booster) else raw.get_booster()
    booster.set_param({"nthread": 1})
    if (fast := _fast(raw, booster, method)) is not None:
        yield Candidate(_HOW, fast)
    if raw is booster:
        yield Candidate("its own predict on a matrix", lambda rows: booster.inplace_predict(rows))
    else:
        ask = getattr(raw, method)
        yield Candidate("its own predict on a matrix", lambda rows: ask(rows, validate_features=False))
        if names is not None:
            yield Candidate("its own predict on a data frame", _framed(ask, names))


def names(raw: Any) -> tuple[str, ...] | None:
    """The names a data frame's columns must have, where the model compares them."""
    booster = raw if type(raw).__name__ == "Booster" else raw.get_booster()
    return None if booster.feature_names is None else tuple(map(str, booster.feature_names))


def width(raw: Any) -> int:
    """How many columns a model takes."""
    booster = raw if type(raw).__name__ == "Booster" else raw.get_booster()
    return int(booster.num_features())


def _fast(raw: Any, booster: Any, method: str) -> Step | None:
    import xgboost

    if raw is booster:
        return _Trees(booster, (0, 0)) if method == "predict" else None
    if raw.booster == "gblinear" or not (raw.missing is None or math.isnan(raw.missing)):
        return None
    values = _Trees(booster, raw._get_iteration_range(None))
    if type(raw) in (xgboost.XGBRegressor, xgboost.XGBRFRegressor, xgboost.XGBRanker):
        return values if method == "predict" else None
    if type(raw) in (xgboost.XGBClassifier, xgboost.XGBRFClassifier):
        return _classes(raw, values, method)
    return None


def _classes(raw: Any, values: Step, method: str) -> Step | None:
    """As `XGBClassifier` makes classes and probabilities of what its booster gives."""
    import numpy as np

    if raw.objective == "multi:softmax":
        return None

    def labels(rows: Any) -> Any:
        told = values(rows)
        return (told > 0.5).astype(np.int64) if told.ndim == 1 else np.argmax(told, axis=1)

    def probabilities(rows: Any) -> Any:
        told = values(rows)
        return told if told.ndim == 2 else np.vstack((1.0 - told, told)).transpose()

    return {"predict": labels, "predict_proba": probabilities}.get(method)


class _Trees:
    """A booster's answers, asked in C. Keeps the booster alive, whose memory it uses."""

    def __init__(self, booster: Any, iterations: tuple[int, int]) -> None:
        import numpy as np
        import xgboost.core

        self._numpy = np
        self._booster = booster
        self._library = xgboost.core._LIB
        told = {
            "type": 0, "training": False, "iteration_begin": int(iterations[0]), "iteration_end": int(iterations[1]),
            "missing": float("nan"), "strict_shape": False, "cache_id": 0,
        }  # fmt: skip
        self._how = json.dumps(told).encode()
        self._columns = int(booster.num_features())

    def __call__(self, rows: Any) -> Any:
        np = self._numpy
        if rows.shape[1] != self._columns:
            raise ValueError(f"expected rows with {self._columns} columns")
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is found below
            single = np.ascontiguousarray(rows, dtype=np.float32)
        # XGBoost takes what is missing and refuses what is infinite, in some of its ways
        if not np.isfinite(single.sum()) and np.isinf(single).any():
            raise Undecided
        shape, dimensions, told = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64(), ctypes.POINTER(ctypes.c_float)()
        about = b'{"data":[%d,true],"typestr":"<f4","shape":[%d,%d],"strides":null,"version":3}' % (
            single.__array_interface__["data"][0],
            *single.shape,
        )
        code = self._library.XGBoosterPredictFromDense(
            self._booster.handle,
            about,
            self._how,
            None,
            ctypes.byref(shape),
            ctypes.byref(dimensions),
            ctypes.byref(told),
        )
        if code != 0:
            raise ValueError("XGBoost could not predict")
        sizes = tuple(shape[: dimensions.value])
        # a copy: the memory is XGBoost's, and the next prediction of this thread writes over it
        return np.ctypeslib.as_array(told, shape=sizes).copy()


def _framed(ask: Step, columns: tuple[str, ...]) -> Step:
    import pandas as pd

    index = pd.Index(columns)
    return lambda rows: ask(pd.DataFrame(rows, columns=index, copy=False))
