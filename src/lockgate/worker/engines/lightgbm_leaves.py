"""A LightGBM booster's trees, read from its text form, for an evaluation by bit vectors.

The form is the one of LightGBM's model files (version 4): a line for each array of a tree, in which a child below zero
is the leaf of that number, counted from -1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from lockgate.worker.engines.bitvectors import BitVectors, Tree

_CATEGORICAL, _MISSING_SHIFT, _ZERO_IS_MISSING = 1, 2, 1  # in the bits of a node's decision
_ZERO = 1.0000000180025095e-35  # kZeroThreshold, a float32
_IDENTITY = frozenset(
    {"regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "none"}
)

Output = Callable[[Any], Any]


class Leaves:
    """What `Booster.predict` gives for rows of finite numbers, to the bit. `leaves_of` makes them."""

    def __init__(self, bits: BitVectors, output: Output, tests: Sequence[tuple[int, float]], features: int) -> None:
        self._bits = bits
        self._output = output
        self._tests = tests
        self._features = features

    def __call__(self, rows: Any) -> Any:
        """A float64 matrix (n, features) to the answers (n, outputs)."""
        return self._output(self._bits.sums(rows))

    def rows_at_thresholds(self, count: int) -> Any:
        """So many rows whose numbers are thresholds of the trees, or the nearest numbers to them."""
        import numpy as np

        random = np.random.default_rng(count)
        rows = random.normal(size=(count, self._features))
        for feature in sorted({feature for feature, _ in self._tests}):
            values = np.array([threshold for other, threshold in self._tests if other == feature])
            picked = random.choice(values, count)
            towards = random.choice([-np.inf, np.inf], count)
            rows[:, feature] = np.where(random.random(count) < 1 / 3, picked, np.nextafter(picked, towards))
        return rows


def leaves_of(booster: Any, last: int, features: int, wide: int) -> Leaves | None:
    """A booster's first `last` rounds (all, below 1) of `wide` trees; None where they do more than compare numbers."""
    try:
        return _read(booster.model_to_string(num_iteration=last), features, wide)
    except (KeyError, ValueError, IndexError, RecursionError):  # it is not written as we know it
        return None


def _read(text: str, features: int, wide: int) -> Leaves | None:
    head, *blocks = text.split("\nTree=")
    told = dict(line.partition("=")[::2] for line in head.splitlines())
    output = _output(told.get("objective", ""), wide)
    if output is None or "average_output" in told or not told.get("version", "").startswith("v4") or not blocks:
        return None
    trees: list[Tree] = []
    for block in blocks:
        tree = _tree(dict(line.partition("=")[::2] for line in block.split("\n\n")[0].splitlines()))
        if tree is None:
            return None
        trees.append(tree)
    bits = BitVectors.of(trees, features, wide)
    return None if bits is None else Leaves(bits, output, bits.tests, features)


def _tree(told: dict[str, str]) -> Tree | None:
    """One tree of its lines, None where it does more than compare numbers."""
    if int(told.get("num_cat", 0)) or int(told.get("is_linear", 0)) or int(told["num_leaves"]) > BitVectors.most_leaves:
        return None
    held = [float(value) for value in told["leaf_value"].split()]
    if len(held) == 1:
        return held[0]
    features = [int(value) for value in told["split_feature"].split()]
    thresholds = [_beside_zero(float(value)) for value in told["threshold"].split()]
    decisions = [int(value) for value in told["decision_type"].split()]
    left, right = ([int(value) for value in told[side].split()] for side in ("left_child", "right_child"))
    if any(one & _CATEGORICAL or (one >> _MISSING_SHIFT) & 3 == _ZERO_IS_MISSING for one in decisions):
        return None

    def node(number: int) -> Tree:
        if number < 0:
            return held[~number]
        return features[number], thresholds[number], node(left[number]), node(right[number])

    return node(0)


def _beside_zero(threshold: float) -> float:
    """The threshold that decides about a number as LightGBM does, to which all numbers this small are zero."""
    if -_ZERO <= threshold < 0:
        return math.nextafter(-_ZERO, -math.inf)
    return _ZERO if 0 <= threshold < _ZERO else threshold


def _output(objective: str, wide: int) -> Output | None:
    """What LightGBM makes of the sums, with the exponential of the C library that it uses as well."""
    kind, *options = objective.split()
    if kind == "binary" and wide == 1:
        slope = next((float(one[8:]) for one in options if one.startswith("sigmoid:")), 1.0)
        return lambda sums: _logistic(sums, slope)
    if kind == "multiclass":
        return _softmax
    return _as_they_are if kind in _IDENTITY and not options else None


def _logistic(sums: Any, slope: float) -> Any:
    import numpy as np

    return np.array([[1.0 / (1.0 + _exp(-slope * value))] for value in sums[:, 0].tolist()])


def _softmax(sums: Any) -> Any:
    import numpy as np

    told = []
    for row in sums.tolist():
        most = max(row)
        powers = [math.exp(value - most) for value in row]
        total = 0.0
        for power in powers:
            total += power
        told.append([power / total for power in powers])
    return np.array(told)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _as_they_are(sums: Any) -> Any:
    return sums
