"""What goes through JSON comes back as it was, and what cannot is named."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockgate.wire import requests, shapes
from lockgate.wire.plain import WrongShape, from_json, to_json

SHAPES = [
    found
    for module in (shapes, requests)
    for found in vars(module).values()
    if isinstance(found, type) and is_dataclass(found)
]

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
MINUTES = st.integers(-14 * 60, 14 * 60)
SCALARS: dict[Any, st.SearchStrategy] = {
    str: st.text(),
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False),
    datetime: st.datetimes(timezones=MINUTES.map(lambda m: timezone(timedelta(minutes=m)))),
    Any: PLAIN,
}


@cache
def values(hint: Any) -> st.SearchStrategy:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return st.one_of(*(st.none() if each is types.NoneType else values(each) for each in inner))
    if origin is tuple:
        return st.lists(values(inner[0]), max_size=1).map(tuple)
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(st.text(), values(inner[1]), max_size=1)
    if is_dataclass(hint):
        shape: Any = hint
        hints = get_type_hints(shape)
        return st.builds(shape, **{each.name: values(hints[each.name]) for each in fields(shape)})
    return SCALARS[hint]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_every_shape_comes_back_from_json_as_it_went(shape, data):
    value = data.draw(values(shape))
    text = json.dumps(to_json(value), allow_nan=False)

    again = from_json(shape, json.loads(text))

    assert type(again) is shape
    assert again == value


@given(PLAIN)
def test_whatever_else_comes_in_is_told_as_a_wrong_shape(plain):
    with pytest.raises(WrongShape, match="expected"):
        from_json(shapes.Promotion, plain)


@dataclass(frozen=True)
class Inner:
    count: int
    share: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    when: datetime | None = None
    inners: tuple[Inner, ...] = ()
    by_name: Mapping[str, Inner] | None = None


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ([], "expected an object, found []"),
        ({}, "name: expected text, found nothing"),
        ({"name": 1}, "name: expected text, found 1"),
        ({"name": "a", "inners": {}}, "inners: expected a list, found {}"),
        ({"name": "a", "inners": [{"count": True}]}, "inners[0].count: expected a number, found True"),
        ({"name": "a", "inners": [{"count": 1.5}]}, "inners[0].count: expected a whole number, found 1.5"),
        (
            {"name": "a", "by_name": {"x": {"count": 1, "share": "much"}}},
            "by_name.x.share: expected a number, found 'much'",
        ),
        (
            {"name": "a", "when": "2026-01-31"},
            "when: expected a time such as 2026-01-31T12:00:00+00:00, found '2026-01-31'",
        ),
        ({"name": "a", "when": "soon"}, "when: expected a time such as 2026-01-31T12:00:00+00:00, found 'soon'"),
        ({"name": "a", "when": 5}, "when: expected a time such as 2026-01-31T12:00:00+00:00, found 5"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected_there(plain, said):
    with pytest.raises(WrongShape) as caught:
        from_json(Outer, plain)

    assert str(caught.value) == said


def test_a_client_reads_past_what_a_newer_server_adds():
    assert from_json(Inner, {"count": 1, "colour": "blue"}) == Inner(1)


def test_a_strict_reader_names_an_unknown_field_and_the_known_ones():
    with pytest.raises(WrongShape, match=r"^colour: there is no such field; known are count, share$"):
        from_json(Inner, {"count": 1, "colour": "blue"}, strict=True)


def test_a_long_value_is_told_shortened():
    with pytest.raises(WrongShape) as caught:
        from_json(Inner, {"count": "x" * 10_000})

    assert len(str(caught.value)) < 120


def test_what_is_no_shape_is_refused_on_the_way_out():
    with pytest.raises(TypeError, match="bytes has no place on the wire"):
        to_json({"a": b"x"})


def test_a_number_json_has_no_word_for_is_still_told():
    told = to_json(shapes.TestResult("load_test", passed=False, because="", measured={"p99_ms": float("nan")}))

    assert told["measured"] == {"p99_ms": "NaN"}
    assert math.isnan(from_json(shapes.TestResult, told).measured["p99_ms"])
