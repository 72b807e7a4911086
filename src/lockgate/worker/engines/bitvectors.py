"""Small trees evaluated together without a branch: every leaf is a bit, and each test that fails takes bits away.

The method is QuickScorer's (Lucchese et al., SIGIR 2015). A walk through a tree guesses wrong about the next step half
of the time, and that is what it costs. Here the leaves of a tree are the bits of one number. A test that is false rules
out all leaves to the left of its node; of the leaves that are left, the leftmost is where the walk would have ended.

All tests of one feature are put in the order of their thresholds. Those that are false for a value are the ones before
its place in that order, so what they rule out together, in all trees, is one row of a table made beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Tree = float | tuple[int, float, "Tree", "Tree"]
"""What a leaf holds, or (feature, threshold, left, right): a row whose feature is at most the threshold goes left."""

_MOST_BYTES = 64 * 1024 * 1024  # of the table
_BYTES_AT_ONCE = 512 * 1024  # that are looked up for a few rows: what is beyond does not stay near the processor
_ROWS_AT_ONCE = 256


class BitVectors:
    """The sums of what the trees of an ensemble hold for rows of finite numbers, added one tree after the other.

    The trees come in rounds of `wide`, one tree for each number of an answer. `tests` are all (feature, threshold).
    """

    most_leaves = 64  # of one tree

    def __init__(self, trees: Sequence[Tree], features: int, wide: int, leaves: int) -> None:
        import numpy as np

        self._numpy = np
        self._wide = wide
        bits = 32 if leaves <= 32 else 64
        self._bits = bits
        kind = np.dtype(f"u{bits // 8}")
        held = np.zeros((len(trees), bits))
        masks: dict[tuple[int, float], dict[int, int]] = {}
        for number, tree in enumerate(trees):
            _number_leaves(tree, bits - 1, held[number], masks, number, (1 << bits) - 1)
        self.tests = tests = sorted(masks)
        self._used = np.array(sorted({feature for feature, _ in tests}), np.intp)
        # an order of pairs, first by the feature and then by the threshold, is that of complex numbers
        self._tests = np.array([complex(feature, threshold) for feature, threshold in tests], np.complex128)
        self._table = _table(tests, masks, len(trees), kind)
        self._shifts: Any = np.arange(len(self._used))  # each feature has one row more than tests
        self._places: Any = np.arange(len(trees)) * bits - 1023  # the exponent of 1.0 in a float64
        self._held = held.ravel()
        self._blocks = [
            (int(feature), np.ascontiguousarray(self._tests.imag[begin:end]), self._table[begin + at : end + at + 1])
            for at, (feature, begin, end) in enumerate(zip(self._used, *_ends(self._tests.real), strict=True))
        ]
        self._few = max(_BYTES_AT_ONCE // (len(self._used) * len(trees) * kind.itemsize), 1)
        self._uses_all = len(self._used) == features

    @classmethod
    def of(cls, trees: Sequence[Tree], features: int, wide: int) -> BitVectors | None:
        """None where a tree has more than 64 leaves, none has a test, or the table would be too large."""
        leaves = max((sum(1 for _ in _leaves(tree)) for tree in trees), default=0)
        tests = {test for tree in trees for test in _tests(tree)}
        size = 8 if leaves > 32 else 4
        if not 1 < leaves <= cls.most_leaves or (len(tests) + features) * len(trees) * size > _MOST_BYTES:
            return None
        return cls(trees, features, wide, leaves)

    def sums(self, rows: Any) -> Any:
        """A float64 matrix (n, features) of finite numbers to the sums (n, wide)."""
        if len(rows) <= self._few:
            return self._summed(self._left_for_few(rows))
        starts = range(0, len(rows), _ROWS_AT_ONCE)
        parts = [self._summed(self._left_for_many(rows[start : start + _ROWS_AT_ONCE])) for start in starts]
        return self._numpy.concatenate(parts)

    def _left_for_few(self, rows: Any) -> Any:
        """The leaves that are left, as bits (n, trees): all features in one go."""
        np = self._numpy
        asked = np.empty((len(rows), len(self._used)), np.complex128)
        asked.real = self._used
        asked.imag = rows if self._uses_all else rows[:, self._used]
        places = self._tests.searchsorted(asked)
        places += self._shifts
        return np.bitwise_and.reduce(self._table.take(places, axis=0), axis=1)

    def _left_for_many(self, rows: Any) -> Any:
        """The same, one feature after the other: what is read and written for each stays near the processor."""
        left = None
        for feature, thresholds, table in self._blocks:
            stay = table.take(thresholds.searchsorted(rows[:, feature]), axis=0)
            left = stay if left is None else self._numpy.bitwise_and(left, stay, out=left)
        return left

    def _summed(self, left: Any) -> Any:
        np = self._numpy
        if self._bits == 64:
            # without the bit below the highest one no rounding reaches the next power of two
            left &= ~(left >> np.uint64(1))
        # the leftmost leaf is the highest bit, which the exponent of a float64 tells
        leaf = left.astype(np.float64).view(np.int64)
        leaf >>= 52
        leaf += self._places
        held: Any = self._held.take(leaf)
        if self._wide == 1:
            return held.cumsum(axis=1)[:, -1:]
        return held.reshape(len(left), -1, self._wide).cumsum(axis=1)[:, -1]


def _number_leaves(
    tree: Tree, bit: int, held: Any, masks: dict[tuple[int, float], dict[int, int]], number: int, every: int
) -> int:
    """Give the leaves of a tree bits downwards from `bit`, the leftmost first, and return the next free one.

    Notes in `held` what each leaf holds, and in `masks` for each test which leaves of which tree stay when it is false.
    """
    if not isinstance(tree, tuple):
        held[bit] = tree
        return bit - 1
    feature, threshold, left, right = tree
    middle = _number_leaves(left, bit, held, masks, number, every)
    ruled_out = (1 << (bit + 1)) - (1 << (middle + 1))
    stay = masks.setdefault((feature, threshold), {})
    stay[number] = stay.get(number, every) & ~ruled_out
    return _number_leaves(right, middle, held, masks, number, every)


def _table(
    tests: Sequence[tuple[int, float]], masks: dict[tuple[int, float], dict[int, int]], trees: int, kind: Any
) -> Any:
    """What stays in each tree when the first so many tests of a feature are false: none, one, two and so on."""
    import numpy as np

    rows: list[Any] = []
    current: Any = None
    before = None
    for test in tests:
        if test[0] != before:
            current, before = np.full(trees, np.iinfo(kind).max, kind), test[0]
            rows.append(current.copy())
        for number, stay in masks[test].items():
            current[number] &= kind.type(stay)
        rows.append(current.copy())
    return np.array(rows)


def _ends(features: Any) -> tuple[Any, Any]:
    """Where each feature's tests begin and end, in its order."""
    import numpy as np

    begins = np.flatnonzero(np.diff(features, prepend=-1.0))
    return begins, np.append(begins[1:], len(features))


def _leaves(tree: Tree) -> Iterator[float]:
    if isinstance(tree, tuple):
        yield from _leaves(tree[2])
        yield from _leaves(tree[3])
    else:
        yield tree


def _tests(tree: Tree) -> Iterator[tuple[int, float]]:
    if isinstance(tree, tuple):
        yield tree[0], tree[1]
        yield from _tests(tree[2])
        yield from _tests(tree[3])
