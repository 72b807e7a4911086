"""Answers are what `json.dumps` would have written, once they are parsed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lockgate.worker.invocations.answers import Predictions


@pytest.mark.parametrize(
    "given",
    [
        np.array([1, 0, -5]),
        np.array([2**63], np.uint64),
        np.array([[1, 2], [3, 4]], np.int32),
        np.array([0.1, 1e300, -0.0, 1e-320]),
        np.array([0.1, 2.5], np.float32),
        np.array([[0.25, 0.75]]),
        np.array([True, False]),
        np.array(["no", "yés", 'a"b', "null"]),
        np.array(["\ud800"]),
    ],
)
def test_an_array_is_written_as_its_own_list(given: Any) -> None:
    told = Predictions.of(given)
    assert json.loads(told.body(0, len(given))) == {"predictions": given.tolist()}
    assert json.loads(told.body(0, 1)) == {"predictions": given[:1].tolist()}


def test_whole_numbers_are_mlflows_to_the_byte() -> None:
    assert Predictions.of(np.array([1, 0])).body(0, 2) == b'{"predictions": [1, 0]}'
    assert Predictions.of(np.array([[1, 0]])).body(0, 1) == b'{"predictions": [[1, 0]]}'


def test_what_is_no_number_is_written_as_python_writes_it() -> None:
    told = Predictions.of(np.array([np.nan, np.inf, 1.5]))
    assert told.body(0, 3) == b'{"predictions": [NaN, Infinity, 1.5]}'
    assert json.loads(told.body(2, 3)) == {"predictions": [1.5]}


def test_an_answer_of_several_columns_names_them_in_each_row() -> None:
    told = Predictions.of(np.array([[1.5, 2.5]]), ("low", "high"))
    assert json.loads(told.body(0, 1)) == {"predictions": [{"low": 1.5, "high": 2.5}]}
    assert json.loads(Predictions.of(np.array([3]), ("label",)).body(0, 1)) == {"predictions": [{"label": 3}]}
