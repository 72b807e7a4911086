"""A body in chunks, whole or in pieces, and everything that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.worker.http.chunks import BadChunk, Chunks, TooLong

END = b"0\r\n\r\n"


def written(parts: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + END


@given(st.lists(st.binary(max_size=40)), st.binary(max_size=20), st.lists(st.integers(1, 9), min_size=1))
def test_a_body_is_the_same_however_it_is_cut(parts: list[bytes], behind: bytes, cuts: list[int]) -> None:
    raw, chunks, at, turn = written(parts), Chunks(10_000), 0, 0
    rest = None
    while rest is None:
        cut = cuts[turn % len(cuts)]
        rest = chunks.feed((raw + behind)[at : at + cut])
        at, turn = at + cut, turn + 1
    assert bytes(chunks.body) == b"".join(parts)
    assert bytes(chunks.raw) == raw
    assert rest + (raw + behind)[at:] == behind


def test_extensions_and_trailers_are_read_over() -> None:
    chunks = Chunks(100)
    assert chunks.feed(b'3 ;a=b;c="d"\r\nabc\r\n00\r\nX-Sum: 1\r\nY:\r\n\r\nrest') == b"rest"
    assert chunks.body == b"abc"


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n", b"g\r\n", b"0x3\r\nabc\r\n", b"-3\r\n", b"+3\r\n", b" 3\r\nabc\r\n", b"3 \r\nabc\r\n", b"3\nabc\n",
        b"11111111111111111\r\n", b"3\r\nabcd\r\n", b"3\r\nabc\n", b"3\r\nabcX", b"3;a=\x00\r\nabc\r\n",
        b"3;" + b"x" * 2000, b"0\r\nno header\r\n", b"0\r\n: x\r\n", b"0\r\nX : y\r\n", b"0\r\n X: y\r\n",
        b"0\r\nX: y\n\n", b"0\r\n" + b"X: y\r\n" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_chunk_is_refused(raw: bytes) -> None:
    with pytest.raises(BadChunk):
        Chunks(1000).feed(raw)


def test_a_size_beyond_the_limit_is_refused_before_its_bytes_come() -> None:
    chunks = Chunks(10)
    assert chunks.feed(b"8\r\n12345678\r\n") is None
    with pytest.raises(TooLong):
        chunks.feed(b"3\r\n")
    with pytest.raises(TooLong):
        Chunks(10).feed(b"ffffffffffffffff\r\n")


def test_framing_that_outgrows_what_it_frames_is_refused() -> None:
    chunks = Chunks(1_000_000)
    assert chunks.feed(b"1\r\na\r\n" * 3000) is None
    with pytest.raises(BadChunk, match="too small"):
        chunks.feed(b"1\r\na\r\n" * 3000)
    assert Chunks(1_000_000).feed(b"8\r\n12345678\r\n" * 30_000) is None
