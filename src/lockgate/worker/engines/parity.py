"""The rows on which a converted version is held against the version itself: usual ones, and where answers turn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lockgate.worker.engines import scikit_learn
from lockgate.worker.engines.inputs import Inputs
from lockgate.worker.engines.trial import as_typed

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

Step = Callable[[Any], Any]
_SEED = 11
_USUAL = 4000
_MOST_THRESHOLDS = 1500
_PAIRS = 200
_HALVINGS = 70  # more than the bits of a float64
_SPLITS = re.compile(r"^(split_feature|threshold|decision_type)=(.*)$", re.MULTILINE)
_XGBOOST_SPLIT = re.compile(r"\[f(\d+)<([^\]]+)\]")


@dataclass(frozen=True, slots=True)
class Trials:
    """Rows (n, features) to compare two ways of predicting on.

    `turning` of them lie where answers turn. `fine` says which (n,) of those only a float64 can tell from a neighbour
    on the other side: what reads float32 need not, and the sums of the others are not certain there either.
    """

    rows: Any
    turning: int
    fine: Any


def rows_for(model: PyFuncModel, inputs: Inputs, example: Any | None, ask: Step) -> Trials:
    """Usual rows, rows with one value at a threshold of a tree, and rows on both sides of a turn of the answer.

    `ask` is a quick way to predict that is known to be right. Each threshold is tried just below, at and above it, as
    float64 and as float32 see it.
    """
    import numpy as np

    random = np.random.default_rng(_SEED)
    edges = thresholds(model)
    usual = _usual(inputs, example, edges, random)
    at_edges, fine_edges = _at(usual, _some(edges, random), random)
    coarse, fine = _turning(usual, ask, random, single=True), _turning(usual, ask, random, single=False)
    rows = as_typed(inputs, np.concatenate([usual, at_edges, coarse, fine]))
    told = [np.zeros(len(usual), bool), fine_edges, np.zeros(len(coarse), bool), np.ones(len(fine), bool)]
    return Trials(rows, len(rows) - len(usual), np.concatenate(told))


def thresholds(model: PyFuncModel) -> list[tuple[int, float]]:
    """Every (feature, value) at which a tree of the model splits, where that can be read."""
    raw = model.get_raw_model()
    family = type(raw).__module__.partition(".")[0]
    try:
        if family == "lightgbm":
            return _of_lightgbm(getattr(raw, "booster_", raw))
        if family == "xgboost":
            return _of_xgboost(raw if type(raw).__name__ == "Booster" else raw.get_booster())
    except Exception:  # noqa: BLE001 - the rows at which answers turn are found without them too
        return []
    return scikit_learn.all_edges(raw)


def _of_lightgbm(booster: Any) -> list[tuple[int, float]]:
    told: list[tuple[int, float]] = []
    features: list[str] = []
    for name, values in _SPLITS.findall(booster.model_to_string()):
        if name == "split_feature":
            features = values.split()
        elif name == "threshold":
            told += [(int(feature), float(value)) for feature, value in zip(features, values.split(), strict=True)]
    return told


def _of_xgboost(booster: Any) -> list[tuple[int, float]]:
    names = booster.feature_names
    try:
        booster.feature_names = None
        trees = booster.get_dump()
    finally:
        booster.feature_names = names
    return [(int(feature), float(value)) for tree in trees for feature, value in _XGBOOST_SPLIT.findall(tree)]


def _usual(inputs: Inputs, example: Any | None, edges: list[tuple[int, float]], random: Any) -> Any:
    """Rows as they may come: around the example and the thresholds, wide enough to reach most answers."""
    import numpy as np

    low, high = np.full(inputs.features, -3.0), np.full(inputs.features, 3.0)
    if edges:
        places = np.array([feature for feature, _ in edges])
        values = np.array([value for _, value in edges])
        for feature in range(inputs.features):
            own = values[places == feature]
            own = own[np.isfinite(own)]
            if len(own):
                room = (own.max() - own.min()) * 0.1 + 1e-6
                low[feature], high[feature] = own.min() - room, own.max() + room
    rows = random.uniform(low, high, size=(_USUAL, inputs.features))
    if example is not None and len(example):
        spread = np.std(example, axis=0) + 1e-3
        near = example[random.integers(len(example), size=_USUAL // 2)]
        rows[: _USUAL // 2] = near + random.normal(size=near.shape) * spread
        rows[: len(example)] = example
    return as_typed(inputs, rows)


def _some(edges: list[tuple[int, float]], random: Any) -> list[tuple[int, float]]:
    distinct = sorted({(feature, value) for feature, value in edges if abs(value) < 1e30})
    if len(distinct) <= _MOST_THRESHOLDS:
        return distinct
    return [distinct[place] for place in random.choice(len(distinct), size=_MOST_THRESHOLDS, replace=False)]


def _at(usual: Any, edges: list[tuple[int, float]], random: Any) -> tuple[Any, Any]:
    """For each threshold rows with the value just below, at and above it; and which values are no float32."""
    import numpy as np

    if not edges:
        return usual[:0], np.zeros(0, bool)
    near = np.concatenate([_neighbours(np.float64(value)) for _, value in edges])
    each = len(near) // len(edges)
    rows = usual[random.integers(len(usual), size=len(near))].copy()
    rows[np.arange(len(near)), np.repeat([feature for feature, _ in edges], each)] = near
    return rows, near != near.astype(np.float32)


def _neighbours(value: Any) -> Any:
    import numpy as np

    single = np.float32(value)
    below, above = np.float32(-np.inf), np.float32(np.inf)
    told = (np.nextafter(value, -np.inf), value, np.nextafter(value, np.inf))
    return np.array([*told, np.nextafter(single, below), single, np.nextafter(single, above)], dtype=np.float64)


def _turning(usual: Any, ask: Step, random: Any, *, single: bool) -> Any:
    """Rows on both sides of a turn: two rows with different answers are brought together until they are neighbours.

    With `single` they are neighbours among the rows of float32 numbers.
    """
    import numpy as np

    def seen(rows: Any) -> Any:
        return rows.astype(np.float32).astype(np.float64) if single else rows

    first = seen(usual[random.integers(len(usual), size=_PAIRS * 4)])
    second = seen(usual[random.integers(len(usual), size=_PAIRS * 4)])
    differ = _unlike(ask(first), ask(second))
    first, second = first[differ][:_PAIRS], second[differ][:_PAIRS]
    if not len(first):
        return usual[:0]
    wanted = ask(first)
    for _ in range(_HALVINGS):
        middle = seen(first / 2 + second / 2)
        alike = ~_unlike(ask(middle), wanted)
        first[alike], second[~alike] = middle[alike], middle[~alike]
    return np.concatenate([first, second])


def _unlike(one: Any, other: Any) -> Any:
    import numpy as np

    return np.asarray(one != other).reshape(len(one), -1).any(axis=1)
