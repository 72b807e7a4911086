"""When two answers are the same."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lockgate.worker.invocations.trial import alike


@pytest.mark.parametrize("told", [[1, 0], [0.5, math.nan, math.inf], ["a", None, True], [{"a": 1.5}], [[0.1, 0.9]]])
def test_an_answer_is_like_itself(told: Any) -> None:
    assert alike(told, told)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1], [1.0]),
        ([1], [True]),
        ([0.5], [0.5000001]),
        ([0.5], [math.nan]),
        ([math.inf], [-math.inf]),
        ([1, 2], [1]),
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}]),
        (["1"], [1]),
    ],
)
def test_another_type_number_or_order_is_another_answer(one: Any, other: Any) -> None:
    assert not alike(one, other)
    assert not alike(other, one)


def test_numbers_of_a_converted_model_may_be_near_and_labels_may_not() -> None:
    assert alike([0.5, 1000.0, math.nan], [0.500001, 1000.005, math.nan], 1e-5)
    assert not alike([0.5], [0.50002], 1e-5)
    assert not alike([0.5], [math.nan], 1e-5)
    assert not alike([math.inf], [1e308], 1e-5)
    assert not alike([1], [2], 1.0)
