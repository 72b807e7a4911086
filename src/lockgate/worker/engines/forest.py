"""A forest's own trees, for a few rows walked in one call.

scikit-learn asks each tree in turn, which costs a check, a lock and three arrays a tree. Here all trees are joined
under one root that sends a row to the tree whose number stands in an extra column, so that scikit-learn's own compiled
walk visits all of them at once. For many rows that costs more than it saves: then the trees are walked in turn, without
the checks. Thresholds, comparisons and the order of the sums stay scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from lockgate.worker.engines.engine import Undecided
from lockgate.worker.engines.linear import name_of

Step = Callable[[Any], Any]
_MOST_VALUES = 2**24  # copied float32 numbers of one walk: rows x trees x columns
_MOST_NODES = 20_000_000
_EDGES = 64
_VOTES = frozenset({"RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier", "ExtraTreeClassifier"})
_MEANS = frozenset({"RandomForestRegressor", "ExtraTreesRegressor", "DecisionTreeRegressor", "ExtraTreeRegressor"})
_LEVELS_TOGETHER = 3
_MOST_LAID_OUT = 1_000_000  # nodes: that takes half a second
_MANY_ROWS = 64  # from here on each row's way to each tree's root costs more than a call for each tree


def forest(estimator: Any, method: str) -> Step | None:
    """`method` of a forest or a tree on a matrix, or None for what is neither.

    Raises Undecided where the rows hold a number that scikit-learn would refuse.
    """
    kind = name_of(estimator)
    if kind not in _VOTES | _MEANS or estimator.n_outputs_ != 1:
        return None
    trees = getattr(estimator, "estimators_", None) or [estimator]
    if sum(tree.tree_.node_count for tree in trees) > _MOST_NODES:
        return None
    sums = _Sums(trees, missing=_takes_missing(trees[0]))
    count = len(trees)
    if kind in _MEANS:
        return (lambda rows: _mean(sums.of(rows), count)) if method == "predict" else None
    classes = estimator.classes_
    if method == "predict":
        return lambda rows: classes.take(_mean(sums.of(rows), count).argmax(axis=1), axis=0)
    if method == "predict_proba":
        return lambda rows: _mean(sums.of(rows), count)
    return None


def thresholds(estimator: Any) -> list[tuple[int, float]]:
    """Some (feature, threshold) pairs of the trees in a forest: where an answer may turn."""
    trees = getattr(estimator, "estimators_", None)
    trees = [estimator] if trees is None else trees
    told: list[tuple[int, float]] = []
    for tree in [getattr(each, "tree_", None) for each in list(trees)[:16]]:
        if tree is not None:
            inner = (tree.feature >= 0).nonzero()[0][: _EDGES // 16]
            told += [(int(tree.feature[node]), float(tree.threshold[node])) for node in inner]
    return told


def _takes_missing(tree: Any) -> bool:
    import numpy as np

    try:
        return bool(tree._support_missing_values(np.zeros((1, tree.n_features_in_))))
    except Exception:  # noqa: BLE001 - it is scikit-learn's own business how it says so
        return False


def _mean(sums: Any, count: int) -> Any:
    # a tree that stands alone is not averaged, and dividing by one changes no bit
    sums /= count
    return sums


class _Sums:
    """The sum over all trees of what their leaves hold, one tree after the other as scikit-learn adds them."""

    def __init__(self, trees: list[Any], *, missing: bool) -> None:
        import numpy as np

        self._numpy = np
        self._missing = missing
        self._count = len(trees)
        self._features = trees[0].n_features_in_
        self._walk, self._leaves, self._flat = _joined([tree.tree_ for tree in trees], self._features)
        self._numbers: Any = np.arange(self._count, dtype=np.float32)[:, None]
        self._trees = [(tree.tree_.apply, _values(tree.tree_)) for tree in trees]
        self._most_rows = max(_MOST_VALUES // (self._count * (self._features + 1)), 1)

    def of(self, rows: Any) -> Any:
        """A matrix (n, features) to the sums (n, classes), or (n,) for a regression."""
        np = self._numpy
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is found below
            single = rows.astype(np.float32)
        if not isfinite(np.add.reduce(single, axis=None)) and not self._allowed(single):
            raise Undecided
        if len(single) >= _MANY_ROWS:
            return self._in_turn(single)
        if len(single) <= self._most_rows:
            return self._part(single)
        starts = range(0, len(single), self._most_rows)
        return np.concatenate([self._part(single[start : start + self._most_rows]) for start in starts])

    def _in_turn(self, single: Any) -> Any:
        together = self._numpy.ascontiguousarray(single)
        apply, held = self._trees[0]
        told = held.take(apply(together), axis=0)
        for apply, held in self._trees[1:]:
            told += held.take(apply(together), axis=0)
        return told

    def _part(self, single: Any) -> Any:
        np = self._numpy
        count, rows = self._count, len(single)
        copied = np.empty((count, rows, self._features + 1), dtype=np.float32)
        copied[:, :, :-1] = single
        copied[:, :, -1] = self._numbers
        held = self._leaves.take(self._walk(copied.reshape(count * rows, -1)), axis=0)
        # an array's sum is taken in pairs along its last axis and one by one along the others
        told = np.add.reduce(held.reshape(count, -1), axis=0) if held.size > count else np.cumsum(held)[-1:]
        return told if self._flat else told.reshape(rows, -1)

    def _allowed(self, single: Any) -> bool:
        np = self._numpy
        return not np.isinf(single).any() and (self._missing or not np.isnan(single).any())


def _values(tree: Any) -> Any:
    """What each node of a tree holds: (nodes, classes), or (nodes,) for a regression."""
    held = tree.value[:, 0, :]
    return held[:, 0] if held.shape[1] == 1 else held


def _joined(trees: list[Any], features: int) -> tuple[Step, Any, bool]:
    """One walk through all trees (rows with a tree's number behind them, to leaves) and what each leaf holds."""
    import numpy as np
    from sklearn.tree._tree import NODE_DTYPE, Tree

    above = len(trees) - 1
    starts = above + np.concatenate([[0], np.cumsum([tree.node_count for tree in trees])])
    nodes = np.zeros(starts[-1], dtype=NODE_DTYPE)
    values = np.zeros((starts[-1], trees[0].value.shape[2]))
    for start, tree in zip(starts, trees, strict=False):
        part = tree.__getstate__()["nodes"].copy()
        inner = part["left_child"] >= 0
        part["left_child"][inner] += start
        part["right_child"][inner] += start
        nodes[start : start + len(part)] = part
        values[start : start + len(part)] = tree.value[:, 0, :]
    depth = _top(nodes, starts[:-1], features) + max(tree.max_depth for tree in trees)
    if len(nodes) <= _MOST_LAID_OUT:
        nodes, values = _laid_out(nodes, values, above)
    joined = Tree(features + 1, np.array([values.shape[1]], dtype=np.intp), 1)
    joined.__setstate__(
        {"max_depth": int(depth), "node_count": len(nodes), "nodes": nodes, "values": values[:, None, :].copy()}
    )
    flat = trees[0].value.shape[2] == 1
    return joined.apply, values[:, 0].copy() if flat else values, flat


def _laid_out(nodes: Any, values: Any, above: int) -> tuple[Any, Any]:
    """The same trees, their nodes so placed that a walk finds the next one near: what it waits for is memory.

    The first levels of a tree lie together; below them each node is followed by the child that most rows go to.
    """
    import numpy as np

    left, right = nodes["left_child"].tolist(), nodes["right_child"].tolist()
    weight = nodes["weighted_n_node_samples"].tolist()
    order = list(range(above))
    level = [child for node in order for child in (left[node], right[node]) if child >= above] or [0]
    for root in level:
        first = [root]
        for _ in range(_LEVELS_TOGETHER):
            order += first
            first = [child for node in first if left[node] >= 0 for child in (left[node], right[node])]
        waiting = first[::-1]
        while waiting:
            node = waiting.pop()
            order.append(node)
            if left[node] >= 0:
                waiting += sorted((left[node], right[node]), key=weight.__getitem__)
    place: Any = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    moved = nodes[order]
    inner = moved["left_child"] >= 0
    for side in ("left_child", "right_child"):
        moved[side][inner] = place[moved[side][inner]]
    return moved, values[order]


def _top(nodes: Any, starts: Any, feature: int) -> int:
    """Write the nodes that lead from the root to each tree by its number. Returns how deep they reach."""
    free = iter(range(len(starts) - 1))

    def lead(first: int, last: int) -> tuple[int, int]:
        if last - first == 1:
            return int(starts[first]), 0
        here, middle = next(free), (first + last) // 2
        left, right = lead(first, middle), lead(middle, last)
        nodes[here]["feature"], nodes[here]["threshold"] = feature, middle - 0.5
        nodes[here]["left_child"], nodes[here]["right_child"] = left[0], right[0]
        return here, 1 + max(left[1], right[1])

    return lead(0, len(starts))[1]
