"""Whatever bytes come in whatever pieces: answers in order, nothing read twice, nothing that others read otherwise."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.worker.http.limits import Limits
from lockgate.worker.http.messages import Answer, Reply, Request
from tests.unit.worker.http.transport import echo, talk

SMALL = Limits(head_bytes=400, body_bytes=300)
FRAGMENTS = [
    b"GET / HTTP/1.1\r\n", b"POST /invocations HTTP/1.1\r\n", b"HEAD / HTTP/1.0\r\n", b"GET http://a/b HTTP/1.1\r\n",
    b"Host: a\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: 17\r\n", b"\r\n", b"\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:\tchunked\r\n", b"Expect: 100-continue\r\n", b"\r", b":",
    b"0\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"ffffffff\r\n", b"hello", b"Connection: close\r\n", b" x: y\r\n",
    b"Connection: keep-alive\r\n", b" ", b"X-Request-Id: abc\r\n", b"\x00", b"\x16\x03\x01", b"Upgrade: h2c\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]  # fmt: skip
streams = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=6), max_size=30).map(b"".join)
cuts = st.lists(st.integers(1, 60), min_size=1, max_size=10)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method, body = draw(st.sampled_from([b"GET", b"POST", b"PUT"])), draw(st.binary(max_size=50))
    line = method + draw(st.sampled_from([b" /invocations", b" /ping?x=y", b" /"])) + b" HTTP/1.1\r\nHost: a\r\n"
    if draw(st.booleans()):
        size = draw(st.integers(1, 20))
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        return line + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    return line + (b"Content-Length: %d\r\n" % len(body) if body or draw(st.booleans()) else b"") + b"\r\n" + body


def cut(raw: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at, turn = [], 0, 0
    while at < len(raw):
        pieces.append(raw[at : at + sizes[turn % len(sizes)]])
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    return pieces


def later(request: Request, reply: Reply) -> None:
    """Answers in a later turn, some requests later than others."""
    turns = len(request.body) % 3

    def again(left: int) -> None:
        if left:
            asyncio.get_running_loop().call_soon(again, left - 1)
        else:
            echo(request, reply)

    asyncio.get_running_loop().call_soon(again, turns)


class Reading:
    """The same bytes as llhttp reads them all by itself."""

    def __init__(self, raw: bytes) -> None:
        self.whole: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.parser: Any = httptools.HttpRequestParser(self)
        with suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.parser.feed_data(raw)

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.whole.append((self.parser.get_method(), self.body))


@given(st.lists(requests(), min_size=1, max_size=6), cuts, st.sampled_from([echo, later]), st.booleans())
def test_every_request_gets_its_answer_in_order_however_the_bytes_are_cut(
    asked: list[bytes], sizes: list[int], app: Any, eof: bool
) -> None:
    told = talk(cut(b"".join(asked), sizes), app, eof=eof)
    alone = [talk([each]).answers[0] for each in asked]
    assert told.answers == alone
    assert told.is_ended is eof


@given(streams, cuts, st.sampled_from([echo, later]), st.booleans())
@settings(max_examples=settings.default.max_examples * 4 if settings.default else 200)
def test_no_bytes_break_the_edge_and_it_reads_no_more_out_of_them_than_the_parser(
    raw: bytes, sizes: list[int], app: Any, eof: bool
) -> None:
    told = talk(cut(raw.replace(b"HEAD", b"POST"), sizes), app, SMALL, eof=eof)
    read = Reading(raw.replace(b"HEAD", b"POST")).whole
    assert [(each.method, each.body) for each in told.requests] == read[: len(told.requests)]
    assert len(told.answers) - len(told.requests) in (0, 1)
    if len(told.answers) > len(told.requests):  # the last one is of the edge itself
        assert told.answers[-1][0] in (400, 408, 413, 417, 431, 501, 505)
        assert told.is_ended


@given(st.binary(max_size=300), cuts)
def test_noise_gets_no_answer_but_a_refusal(raw: bytes, sizes: list[int]) -> None:
    told = talk(cut(raw, sizes), limits=SMALL)
    assert not told.requests
    assert [status for status, _ in told.answers] in ([], [400], [431])


def test_an_answer_that_comes_twice_is_given_once() -> None:
    def twice(request: Request, reply: Reply) -> None:
        reply(Answer(200, request.path))
        reply(Answer(200, b"again"))

    asked = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(3))
    assert talk([asked], twice).answers == [(200, b"/0"), (200, b"/1"), (200, b"/2")]


def test_what_fails_behind_the_edge_is_an_answer_too(caplog: pytest.LogCaptureFixture) -> None:
    def fails(request: Request, reply: Reply) -> None:
        raise ZeroDivisionError

    told = talk([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], fails)
    assert [status for status, _ in told.answers] == [500]
    assert "could not be answered" in caplog.text


def test_many_requests_in_one_piece_leave_others_their_turn() -> None:
    told = talk([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1000])
    assert len(told.answers) == 1000


def test_bodies_that_are_on_their_way_have_one_limit_together() -> None:
    half = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + b"x" * 60
    told = talk([half], limits=Limits(reading_bytes=50))
    assert [status for status, _ in told.answers] == [503]
    assert told.connection._shared.reading_bytes == 0
