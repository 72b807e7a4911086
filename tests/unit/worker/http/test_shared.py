"""What connections of one edge share costs little, and is bounded."""

from __future__ import annotations

import pytest

from lockgate.worker.http.heads import BadHead, parse
from lockgate.worker.http.limits import Limits
from lockgate.worker.http.shared import Shared

GOOD = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


def test_a_head_that_was_read_before_says_the_same_again() -> None:
    shared = Shared(lambda request, reply: None, Limits())
    for _ in range(2):
        assert [shared.head(GOOD % length) for length in (1, 22)] == [parse(GOOD % length) for length in (1, 22)]


def test_no_client_can_fill_the_memory_with_heads() -> None:
    shared = Shared(lambda request, reply: None, Limits())
    for length in range(2000):
        assert shared.head(GOOD % length).length == length
    shared.head(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 4000 + b"\r\n\r\n")
    assert sum(map(len, shared.heads)) < 1_000_000


def test_a_bad_head_is_refused_each_time() -> None:
    shared = Shared(lambda request, reply: None, Limits())
    for _ in range(2):
        with pytest.raises(BadHead):
            shared.head(b"GET / HTTP/1.1\r\n\r\n")
