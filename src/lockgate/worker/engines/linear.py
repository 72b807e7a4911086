"""Scalers and linear models, composed of the numpy operations that scikit-learn runs, in its order.

Only what checks and converts is left out, so every bit of the answer is scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from lockgate.worker.engines.engine import Undecided

Step = Callable[[Any], Any]


def scaler(estimator: Any) -> Step | None:
    """A scaler's `transform` of a float64 matrix, or None for what is none of them. It never changes its input."""
    if estimator is None or (isinstance(estimator, str) and estimator == "passthrough"):
        return lambda rows: rows
    match name_of(estimator):
        case "StandardScaler":
            return _standard(estimator)
        case "MinMaxScaler" if not estimator.clip:
            return _min_max(estimator.scale_, estimator.min_)
        case "MaxAbsScaler" if not getattr(estimator, "clip", False):
            scale = estimator.scale_
            return lambda rows: rows / scale
    return None


def _standard(estimator: Any) -> Step:
    mean = estimator.mean_ if estimator.with_mean else None
    scale = estimator.scale_ if estimator.with_std else None

    def scaled(rows: Any) -> Any:
        moved = rows if mean is None else rows - mean
        if scale is None:
            return moved
        if moved is rows:
            return rows / scale
        moved /= scale
        return moved

    return scaled


def _min_max(scale: Any, least: Any) -> Step:
    def scaled(rows: Any) -> Any:
        moved = rows * scale
        moved += least
        return moved

    return scaled


def linear(estimator: Any, method: str) -> Step | None:
    """`method` of a linear model on a float64 matrix, or None for what is no such model.

    Raises Undecided where the rows hold a number that is none or infinite: scikit-learn refuses those.
    """
    match name_of(estimator), method:
        case (("LinearRegression" | "Ridge" | "Lasso" | "ElasticNet"), "predict"):
            return _scores(estimator, flat=False)
        case (("LogisticRegression" | "RidgeClassifier" | "SGDClassifier" | "LinearSVC"), "predict"):
            if getattr(estimator.classes_, "ndim", 1) != 1:
                return None
            return _labels(_scores(estimator, flat=True), estimator.classes_)
        case "LogisticRegression", "predict_proba":
            return _probabilities(_scores(estimator, flat=True), estimator.classes_)
    return None


def name_of(estimator: Any) -> str:
    """The name of a class of scikit-learn's own, else "": told without importing what the model does not need."""
    kind = type(estimator)
    return kind.__name__ if kind.__module__.startswith("sklearn.") else ""


def _scores(estimator: Any, *, flat: bool) -> Step:
    """The decision function. Its one column becomes an array (n,) where the model is a classifier."""
    import numpy as np

    weights = estimator.coef_.T if estimator.coef_.ndim == 2 else estimator.coef_
    shift, total = estimator.intercept_, np.add.reduce

    def scores(rows: Any) -> Any:
        told = rows @ weights
        told += shift
        # every number that is none or infinite in a row ends up here: nothing times it is finite, nor a sum with it
        if not isfinite(total(told, axis=None)):
            raise Undecided
        return told.reshape(-1) if flat and told.ndim == 2 and told.shape[1] == 1 else told

    return scores


def _labels(scores: Step, classes: Any) -> Step:
    import numpy as np

    def labels(rows: Any) -> Any:
        told = scores(rows)
        return classes.take((told > 0).astype(np.intp) if told.ndim == 1 else told.argmax(axis=1), axis=0)

    return labels


def _probabilities(scores: Step, classes: Any) -> Step | None:
    """As `LogisticRegression.predict_proba` of scikit-learn 1.9; the proof tells where another release differs."""
    import numpy as np
    from scipy.special import expit
    from sklearn.utils.extmath import softmax

    def probabilities(rows: Any) -> Any:
        told = scores(rows)
        if told.ndim == 2:
            return softmax(told, copy=False)
        expit(told, out=told)
        return np.stack([1 - told, told], axis=1)

    return probabilities if len(classes) > 1 else None
