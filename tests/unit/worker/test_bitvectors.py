"""Trees as bit vectors give what a walk through them gives, in every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.worker.engines.bitvectors import BitVectors, Tree

FEATURES = 4
# few values, so that rows lie on thresholds and trees share tests
_NUMBERS = st.sampled_from([-1e300, -2.5, -0.0, 0.0, 5e-324, 1.0, 1.0000000000000002, 3.25, 1e300])
_HELD = st.floats(-1e6, 1e6)


def _grown(most_leaves: int) -> st.SearchStrategy[Tree]:
    def node(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        return st.tuples(st.integers(0, FEATURES - 1), _NUMBERS, children, children)

    return st.recursive(_HELD, node, max_leaves=most_leaves)


def _leaf(tree: Tree, row: Any) -> float:
    while isinstance(tree, tuple):
        feature, threshold, left, right = tree
        tree = left if row[feature] <= threshold else right
    return tree


def _walked(trees: list[Tree], wide: int, rows: Any) -> Any:
    told = np.zeros((len(rows), wide))
    for at, row in enumerate(rows):
        for number, tree in enumerate(trees):
            told[at, number % wide] += _leaf(tree, row)
    return told


def _chain(leaves: int) -> Tree:
    """A tree that is one long branch, whose leaf says how far a row came."""
    tree: Tree = float(leaves)
    for number in reversed(range(1, leaves)):
        tree = (number % FEATURES, float(number), float(number), tree)
    return tree


def test_the_sums_are_those_of_a_walk() -> None:
    @settings(max_examples=150)
    @given(
        st.lists(_grown(64), min_size=1, max_size=9),
        st.integers(1, 3),
        st.lists(st.lists(_NUMBERS, min_size=FEATURES, max_size=FEATURES), min_size=1, max_size=30),
    )
    def holds(trees: list[Tree], wide: int, asked: list[list[float]]) -> None:
        whole = [*trees, *trees, *trees][: len(trees) * wide]
        rows = np.array(asked)
        made = BitVectors.of(whole, FEATURES, wide)
        if made is None:
            assert not any(isinstance(tree, tuple) for tree in trees)
            return
        assert np.array_equal(made.sums(rows), _walked(whole, wide, rows))

    holds()


@pytest.mark.parametrize("leaves", [2, 31, 32, 33, 63, 64])
def test_every_leaf_has_its_own_bit(leaves: int) -> None:
    rows = np.repeat(np.arange(-1.0, leaves + 2)[:, None], FEATURES, axis=1)
    made = BitVectors.of([_chain(leaves), 0.5], FEATURES, 1)
    assert made is not None
    assert made.sums(rows)[:, 0].tolist() == [_leaf(_chain(leaves), row) + 0.5 for row in rows]


@pytest.mark.parametrize("count", [1, 2, 200, 257, 1_500])
def test_few_rows_and_many_are_summed_alike(count: int) -> None:
    random = np.random.default_rng(count)
    trees = [_chain(number) for number in range(2, 33)] * 40
    rows = random.integers(0, 40, size=(count, FEATURES)).astype(float)
    made = BitVectors.of(trees, FEATURES, 1)
    assert made is not None
    together = made.sums(rows)
    assert np.array_equal(together, np.concatenate([made.sums(row[None]) for row in rows]))
    assert np.array_equal(together[:20], _walked(trees, 1, rows[:20]))


def test_what_does_not_fit_is_left_to_others() -> None:
    assert BitVectors.of([_chain(65)], FEATURES, 1) is None
    assert BitVectors.of([1.0, 2.0], FEATURES, 1) is None
    assert BitVectors.of([], FEATURES, 1) is None
    many: list[Tree] = [(0, float(number), 0.0, 1.0) for number in range(5_000)]
    assert BitVectors.of(many, FEATURES, 1) is None  # 5,000 tests in 5,000 trees: a table of 100 MB
