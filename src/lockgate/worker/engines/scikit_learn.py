"""Ways of predicting with a scikit-learn estimator or pipeline without MLflow's and scikit-learn's checks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from lockgate.worker.engines.forest import forest, thresholds
from lockgate.worker.engines.linear import linear, name_of, scaler
from lockgate.worker.engines.proof import Candidate

Step = Callable[[Any], Any]


def candidates(estimator: Any, method: str, names: tuple[str, ...] | None) -> Iterator[Candidate]:
    """Every way that may give what `estimator.method` gives for a data frame, the fastest first.

    `names` are the columns that a data frame would have.
    """
    if fast := composed(estimator, method):
        yield fast
    bare = None if type(estimator).__module__.startswith("lightgbm.") else nameless(estimator)
    if bare is not None and (ask := getattr(bare, method, None)) is not None:
        yield Candidate("its own predict on a matrix", ask)
    if names is not None and (ask := getattr(estimator, method, None)) is not None:
        yield Candidate("its own predict on a data frame", _framed(ask, names))


def composed(estimator: Any, method: str) -> Candidate | None:
    """The operations of a known estimator, or of a pipeline of known steps, one after the other."""
    if name_of(estimator) != "Pipeline":
        return _alone(estimator, method)
    if estimator.memory is not None:
        return None
    scalers = [scaler(step) for _, step in estimator.steps[:-1]]
    last = _alone(estimator.steps[-1][1], method)
    if last is None or not all(scalers):
        return None
    steps = [step for step in scalers if step is not None]

    def predict(rows: Any) -> Any:
        for step in steps:
            rows = step(rows)
        return last.predict(rows)

    return Candidate(last.how, predict)


def _alone(estimator: Any, method: str) -> Candidate | None:
    if step := linear(estimator, method):
        return Candidate("a linear model's own operations", step)
    if step := forest(estimator, method):
        return Candidate("a forest by its trees", step)
    if type(estimator).__module__.startswith("lightgbm."):
        from lockgate.worker.engines.lightgbm import of_estimator

        return of_estimator(estimator, method)
    return None


def edges(estimator: Any) -> list[tuple[int, float]]:
    """(feature, value) pairs at which the answer of a forest may turn."""
    return thresholds(estimator) if hasattr(estimator, "estimators_") or hasattr(estimator, "tree_") else []


def all_edges(estimator: Any) -> list[tuple[int, float]]:
    """As `edges`, of every tree, also of one that stands at the end of a pipeline of nothing but itself."""
    trees = getattr(estimator, "estimators_", None)
    trees = [estimator] if trees is None else list(getattr(trees, "flat", trees))
    told: list[tuple[int, float]] = []
    for tree in [getattr(each, "tree_", None) for each in trees]:
        if tree is not None:
            inner = tree.feature >= 0
            told += zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True)
    return told


def width(estimator: Any) -> int | None:
    """How many columns an estimator takes, where it knows."""
    try:
        count = getattr(estimator, "n_features_in_", None)
    except Exception:  # noqa: BLE001 - a property of somebody's estimator may raise anything
        return None
    return int(count) if count is not None and int(count) > 0 else None


def names(estimator: Any) -> tuple[str, ...] | None:
    """The names of the columns that an estimator was fitted with, where they had names."""
    told = getattr(estimator, "feature_names_in_", None)
    return None if told is None else tuple(map(str, told))


def nameless(estimator: Any) -> Any | None:
    """A shallow copy that does not know its columns' names, so that a bare matrix gives no warning.

    What it has learnt is shared with the original. None where it cannot be copied so.
    """
    try:
        bare = copy.copy(estimator)
        if name_of(estimator) == "Pipeline":
            bare.steps = [(name, _bare_step(step)) for name, step in estimator.steps]
            return bare
        return _forget(bare)
    except Exception:  # noqa: BLE001 - an estimator that cannot be copied is used as it is, or not at all
        return None


def _bare_step(step: Any) -> Any:
    return step if step is None or isinstance(step, str) else _forget(copy.copy(step))


def _forget(bare: Any) -> Any:
    getattr(bare, "__dict__", {}).pop("feature_names_in_", None)
    return bare


def _framed(ask: Step, columns: tuple[str, ...]) -> Step:
    import pandas as pd

    index = pd.Index(columns)
    return lambda rows: ask(pd.DataFrame(rows, columns=index, copy=False))
