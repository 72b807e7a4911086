"""For how long texts are kept, as people write it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockgate.domain.errors import BadInput
from lockgate.domain.retention import parse_length, spoken


@pytest.mark.parametrize(
    ("written", "days"), [("7y", 2555), ("1 year", 365), ("400d", 400), ("30 days", 30), (" 7Y ", 2555)]
)
def test_a_length_is_read(written: str, days: int) -> None:
    assert parse_length(written) == timedelta(days=days)


@pytest.mark.parametrize("written", ["for ever", "for-ever", "forever", "For  Ever"])
def test_for_ever_is_no_length(written: str) -> None:
    assert parse_length(written) is None


@pytest.mark.parametrize("written", ["", "0y", "7", "y", "-1y", "29d", "1h", "201y", "1e3d", "7y;", "999999y"])
def test_anything_else_is_told_so(written: str) -> None:
    with pytest.raises(BadInput):
        parse_length(written)


def test_what_is_spoken_is_read_again() -> None:
    for length in (None, timedelta(days=30), timedelta(days=365), timedelta(days=400), timedelta(days=3650)):
        assert parse_length(spoken(length)) == length
