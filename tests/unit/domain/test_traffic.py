"""Shares come out as they were written, and a share that grows takes nobody from those that had it."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.canonical import canonical
from lockgate.domain.traffic import Share, Split, point_of

PERCENT = st.integers(1, 50_000).map(lambda thousandths: thousandths / 1000)
SPLITS = st.builds(
    lambda first, second, key, shadow: Split((Share(2, first), Share(3, second)), key=key, shadow=shadow),
    PERCENT, PERCENT, st.sampled_from(["", "X-User"]), st.sampled_from([None, 4]),
)  # fmt: skip


@given(SPLITS)
def test_what_is_on_record_is_what_was_set(split: Split) -> None:
    assert Split.of(split.checked().plain()) == split
    canonical(split.plain())


@given(SPLITS, st.floats(0, 1, exclude_max=True), st.floats(1, 2))
def test_a_last_share_that_grows_keeps_whom_it_had(split: Split, point: float, factor: float) -> None:
    first, last = split.shares
    larger = Split((first, Share(last.version, last.percent * factor)))
    before, after = split.at(point), larger.at(point)
    assert after == before or (before is None and after == last.version)


def test_keys_fall_evenly_and_always_to_the_same_place() -> None:
    split = Split((Share(2, 10.0), Share(3, 30.0)))
    drawn = random.Random(5)
    keys = [drawn.randbytes(8) for _ in range(20_000)]
    found = Counter(split.at(point_of("ep-1", key)) for key in keys)
    assert found[2] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert found[3] / 20_000 == pytest.approx(0.3, abs=0.015)
    assert found == Counter(split.at(point_of("ep-1", key)) for key in keys)
    assert any(point_of("ep-1", key) != point_of("ep-2", key) for key in keys), "other endpoints divide otherwise"


@given(SPLITS, st.frozensets(st.integers(1, 5)), st.integers(1, 5))
def test_only_versions_that_may_answer_are_left_of_it(split: Split, there: frozenset[int], primary: int) -> None:
    left = split.among(there, primary)
    assert left.versions <= there - {primary}
    assert set(left.shares) <= set(split.shares)
