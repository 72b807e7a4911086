"""A LightGBM booster without the data frame: by the bits of its leaves, or through its C interface on one thread."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from math import isfinite
from typing import Any

from lockgate.worker.engines import lightgbm_leaves
from lockgate.worker.engines.lightgbm_leaves import Leaves
from lockgate.worker.engines.proof import Candidate

Step = Callable[[Any], Any]

_DOUBLE = 1  # C_API_DTYPE_FLOAT64
_NORMAL = 0  # C_API_PREDICT_NORMAL
_ONE_THREAD = b"num_threads=1"
_TRIED_ROWS, _TIMED_ROWS, _TIMES = 512, 16, 5
# options that change what a prediction is; a model that carries one is left to LightGBM's own predict
_CHANGING = ("pred_early_stop", "num_iteration_predict", "predict_raw_score", "predict_leaf_index")


def of_booster(booster: Any) -> Candidate | None:
    """`Booster.predict`, or None where it does more than walk trees over numbers."""
    values = _values(booster)
    return Candidate(values.how, values) if values else None


def of_estimator(estimator: Any, method: str) -> Candidate | None:
    """`method` of LightGBM's scikit-learn classes, or None for what is none of them."""
    from lightgbm import LGBMClassifier, LGBMRanker, LGBMRegressor

    kind = type(estimator)
    if kind not in (LGBMClassifier, LGBMRegressor, LGBMRanker) or callable(getattr(estimator, "_objective", None)):
        return None
    if any(name in _CHANGING for name in estimator.get_params()):
        return None
    values = _values(estimator.booster_)
    if values is None:
        return None
    step = _classes(estimator, values, method) if kind is LGBMClassifier else values
    return Candidate(values.how, step) if step else None


def width(booster: Any) -> int:
    """How many columns a booster takes."""
    return int(booster.num_feature())


def _classes(estimator: Any, values: Step, method: str) -> Step | None:
    """As `LGBMClassifier` makes classes and probabilities of what its booster gives."""
    import numpy as np

    classes = estimator._le.classes_

    def probabilities(rows: Any) -> Any:
        told = values(rows)
        return told if told.ndim == 2 else np.vstack((1.0 - told, told)).transpose()

    def labels(rows: Any) -> Any:
        told = values(rows)
        # the second of two classes wins where it is the larger, as argmax has it
        places = (told > 1.0 - told).astype(np.intp) if told.ndim == 1 else told.argmax(axis=1)
        return classes.take(places)

    return {"predict": labels, "predict_proba": probabilities}.get(method)


def _values(booster: Any) -> _Trees | None:
    if booster.pandas_categorical:
        return None
    try:
        return _Trees(booster)
    except (AttributeError, ImportError, OSError):
        return None


class _Trees:
    """A booster's answers, asked in C. Keeps the booster alive, whose memory it uses."""

    def __init__(self, booster: Any) -> None:
        import lightgbm.basic
        import numpy as np

        self._numpy = np
        self._booster = booster
        self._library = lightgbm.basic._LIB
        self._handle = booster._handle
        self._last = booster.best_iteration if booster.best_iteration is not None and booster.best_iteration > 0 else -1
        self._columns = int(booster.num_feature())
        self._wide = max(int(booster.num_model_per_iteration()), 1)
        self._row = _FastRow(self._library, self._handle, self._columns, self._last)
        self._leaves = lightgbm_leaves.leaves_of(booster, self._last, self._columns, self._wide)
        if self._leaves is not None and not self._are_right_and_quicker(self._leaves):
            self._leaves = None
        self.how = "LightGBM's own trees on one thread" if self._leaves is None else "LightGBM's trees as bit vectors"

    def __call__(self, rows: Any) -> Any:
        np = self._numpy
        if rows.shape[1] != self._columns or rows.dtype != np.float64:
            raise ValueError(f"expected float64 rows with {self._columns} columns")
        # a sum is finite only if all of its parts are: what is missing, LightGBM has ways of its own with
        if self._leaves is not None and isfinite(np.add.reduce(rows, axis=None)):
            told = self._leaves(rows)
            return told.reshape(-1) if self._wide == 1 else told
        return self._walked(rows)

    def _walked(self, rows: Any) -> Any:
        np = self._numpy
        count = len(rows)
        rows = np.ascontiguousarray(rows)
        told = np.empty(count * self._wide)
        if count == 1:
            self._row.ask(rows, told)
        else:
            self._ask(rows, told)
        return told if self._wide == 1 else told.reshape(count, self._wide)

    def _are_right_and_quicker(self, leaves: Leaves) -> bool:
        """Whether bit vectors give every bit that LightGBM gives, at many thresholds too, and sooner."""
        rows = leaves.rows_at_thresholds(_TRIED_ROWS)
        given, told = leaves(rows).reshape(-1), self._walked(rows).reshape(-1)
        if not bool((given == told).all()):
            return False
        some = rows[:_TIMED_ROWS]
        return _quickest(lambda: leaves(some)) < _quickest(lambda: self._walked(some))

    def _ask(self, rows: Any, told: Any) -> None:
        length = ctypes.c_int64(0)
        _check(
            self._library,
            self._library.LGBM_BoosterPredictForMat(
                self._handle, ctypes.c_void_p(rows.ctypes.data), ctypes.c_int(_DOUBLE), ctypes.c_int32(rows.shape[0]),
                ctypes.c_int32(rows.shape[1]), ctypes.c_int(1), ctypes.c_int(_NORMAL), ctypes.c_int(0),
                ctypes.c_int(self._last), ctypes.c_char_p(_ONE_THREAD), ctypes.byref(length),
                ctypes.c_void_p(told.ctypes.data),
            ),
        )  # fmt: skip
        if length.value != told.size:
            raise ValueError("LightGBM gave another number of predictions than expected")


class _FastRow:
    """LightGBM's way for one row: everything but the row is prepared once."""

    def __init__(self, library: Any, handle: Any, columns: int, last: int) -> None:
        self._library = library
        self._fast = ctypes.c_void_p()
        _check(
            library,
            library.LGBM_BoosterPredictForMatSingleRowFastInit(
                handle, ctypes.c_int(_NORMAL), ctypes.c_int(0), ctypes.c_int(last), ctypes.c_int(_DOUBLE),
                ctypes.c_int32(columns), ctypes.c_char_p(_ONE_THREAD), ctypes.byref(self._fast),
            ),
        )  # fmt: skip
        # a prototype of its own: the library's function object is everybody's
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self._call = kind(("LGBM_BoosterPredictForMatSingleRowFast", library))

    def ask(self, row: Any, told: Any) -> None:
        length = ctypes.c_int64(0)
        code = self._call(
            self._fast,
            row.__array_interface__["data"][0],
            ctypes.addressof(length),
            told.__array_interface__["data"][0],
        )
        _check(self._library, code)
        if length.value != told.size:
            raise ValueError("LightGBM gave another number of predictions than expected")

    def __del__(self) -> None:
        if self._fast.value is not None:
            self._library.LGBM_FastConfigFree(self._fast)


def _quickest(work: Callable[[], object]) -> float:
    seconds = float("inf")
    for _ in range(_TIMES):
        began = time.perf_counter()
        work()
        seconds = min(seconds, time.perf_counter() - began)
    return seconds


def _check(library: Any, code: int) -> None:
    if code != 0:
        raise ValueError(library.LGBM_GetLastError().decode(errors="replace"))
