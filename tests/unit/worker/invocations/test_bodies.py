"""Which bodies are read fast, what they become, and which are left to MLflow."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from lockgate.worker.invocations.bodies import Bodies, Form, matrix_of
from lockgate.worker.invocations.content import is_plain_json
from tests.unit.worker.invocations.pieces import bodies, columns, unnamed

AB = bodies(columns("a", "b"))
BARE = bodies(unnamed(2))
NAMED = bodies(columns("a", "b", values=int | float, signed=False))


def read(reader: Bodies, told: Any) -> Any:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    found = reader.read(body)
    return None if found is None else (found[0], [list(row) for row in found[1]])


@pytest.mark.parametrize(
    ("told", "form"),
    [
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4.5]]}}, Form.SPLIT),
        ({"dataframe_split": {"columns": ["b", "a"], "data": [[2, 1], [4.5, 3]]}}, Form.SPLIT),
        ({"dataframe_split": {"index": [7, "x"], "columns": ["a", "b"], "data": [[1, 2], [3, 4.5]]}}, Form.SPLIT),
        ({"dataframe_split": {"data": [[1, 2], [3, 4.5]]}}, Form.BARE_SPLIT),
        ({"dataframe_split": {"columns": [0, 1], "data": [[1, 2], [3, 4.5]]}}, Form.BARE_SPLIT),
        ({"dataframe_records": [{"a": 1, "b": 2}, {"b": 4.5, "a": 3}]}, Form.RECORDS),
        ({"inputs": [[1, 2], [3, 4.5]]}, Form.INPUT_ROWS),
        ({"inputs": {"b": [2, 4.5], "a": [1, 3]}}, Form.INPUT_COLUMNS),
        ({"inputs": [{"a": 1, "b": 2}, {"a": 3, "b": 4.5}]}, Form.INPUT_RECORDS),
        ({"instances": [[1, 2], [3, 4.5]]}, Form.INSTANCE_ROWS),
        ({"instances": {"a": [1, 3], "b": [2, 4.5]}}, Form.INSTANCE_COLUMNS),
        ({"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4.5}], "params": {"any": 1}}, Form.INSTANCE_RECORDS),
    ],
)
def test_every_form_becomes_the_same_rows_in_the_models_order(told: Any, form: Form) -> None:
    assert read(AB, told) == (form, [[1, 2], [3, 4.5]])


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"{",
        b"[]",
        b'{"inputs": [[NaN, 1]]}',
        b'{"inputs": [[1e999, 1]]}',
        b'\xef\xbb\xbf{"inputs": [[1, 2]]}',
        {"inputs": []},
        {"inputs": None},
        {"inputs": {"a": [], "b": []}},
        {"inputs": {"a": [1], "b": [1, 2]}},
        {"inputs": {"a": 1, "b": 2}},
        {"inputs": [[1, 2], [3]]},
        {"inputs": [[1, 2], {"a": 1, "b": 2}]},
        {"inputs": [{"a": 1, "b": 2}, [1, 2]]},
        {"inputs": [["1", 2]]},
        {"inputs": [[True, 2]]},
        {"inputs": [[[1], 2]]},
        {"inputs": [{"a": 1}]},
        {"inputs": [{"a": 1, "b": 2, "c": 3}]},
        {"inputs": [[1, 2]], "instances": [[1, 2]]},
        {"inputs": [[1, 2]], "messages": []},
        {"inputs": [[1, 2]], "prompt": "x"},
        {"dataframe_records": []},
        {"dataframe_split": {"columns": ["a", "b"], "data": []}},
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]], "index": [0, 1]}},
        {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}},
        {"dataframe_split": {"columns": ["a", "c"], "data": [[1, 2]]}},
        {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, 3]]}},
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]], "rows": 1}},
    ],
)
def test_what_is_odd_is_left_to_mlflow(told: Any) -> None:
    assert read(AB, told) is None


def test_params_are_left_to_mlflow_where_the_signature_names_some() -> None:
    strict = bodies(columns("a", "b"), params_are_ignored=False)
    assert read(strict, {"inputs": [[1, 2]]}) is not None
    assert read(strict, {"inputs": [[1, 2]], "params": {}}) is None


def test_without_a_signature_the_names_and_their_order_must_be_the_models() -> None:
    rows = [[1, 2]]
    assert read(NAMED, {"dataframe_split": {"columns": ["a", "b"], "data": rows}}) == (Form.SPLIT, rows)
    assert read(NAMED, {"dataframe_split": {"columns": ["b", "a"], "data": rows}}) is None
    assert read(NAMED, {"dataframe_records": [{"a": 1, "b": 2}]}) == (Form.RECORDS, rows)
    assert read(NAMED, {"dataframe_records": [{"b": 2, "a": 1}]}) is None
    assert read(NAMED, {"inputs": [{"a": 1, "b": 2}]}) is None


def test_a_model_that_knows_no_names_takes_any_that_are_texts() -> None:
    for names in (["x", "y"], ["", "é"]):
        assert read(BARE, {"dataframe_split": {"columns": names, "data": [[1, 2]]}}) == (Form.SPLIT, [[1, 2]])
    odd: list[list[Any]] = [["x", 1], ["x", "x"], ["x"], [5, 6]]
    for others in odd:
        assert read(BARE, {"dataframe_split": {"columns": others, "data": [[1, 2]]}}) is None
    assert read(BARE, {"dataframe_records": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}) == (Form.RECORDS, [[1, 2], [3, 4]])
    assert read(BARE, {"dataframe_records": [{"x": 1, "y": 2}, {"y": 3, "x": 4}]}) is None


def test_nothing_but_whole_numbers_is_left_to_mlflow_where_the_engine_does_not_vouch_for_them() -> None:
    careful = bodies(unnamed(2), integers=False)
    assert read(careful, {"inputs": [[1, 2], [3, 4]]}) is None
    assert read(careful, {"inputs": [[1, 2], [3, 4.0]]}) == (Form.INPUT_ROWS, [[1, 2], [3, 4.0]])
    assert read(BARE, {"inputs": [[1, 2]]}) == (Form.INPUT_ROWS, [[1, 2]])


def test_so_many_layouts_are_remembered_and_none_that_is_huge() -> None:
    reader = bodies(unnamed(2))
    for turn in range(200):
        assert read(reader, {"dataframe_split": {"columns": [f"x{turn}", "y"], "data": [[1, 2]]}}) is not None
    assert len(reader._layouts) == 64
    assert read(reader, {"dataframe_split": {"columns": ["x" * 70_000, "y"], "data": [[1, 2]]}}) is None
    assert read(reader, {"dataframe_split": {"columns": ["x0", "y"], "data": [[1, 2]]}}) is not None


def test_rows_become_a_matrix_in_the_order_asked_for_and_null_is_no_number() -> None:
    matrix = matrix_of([(1, 2.5), (3, None)], 2)
    assert matrix.dtype == np.float64
    assert matrix[0].tolist() == [1.0, 2.5]
    assert math.isnan(matrix[1, 1])
    assert matrix_of([(1, 2), (3, 4)], 2, fortran=True).flags.f_contiguous
    assert matrix_of([(1, 2), (3, 4)], 2).flags.c_contiguous


@pytest.mark.parametrize(
    ("content_type", "plain"),
    [
        (b"application/json", True),
        (b"application/json; charset=utf-8", True),
        (b"application/json ;charset=UTF-8", True),
        (b"application/json;", False),
        (b"application/json; charset=latin-1", False),
        (b"application/json; colour=red", False),
        (b"Application/JSON", False),
        (b"text/csv", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_a_content_type_is_read_as_mlflow_reads_it(content_type: bytes, plain: bool) -> None:
    assert is_plain_json(content_type) is plain
    assert is_plain_json(content_type) is plain
