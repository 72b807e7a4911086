"""What the head of a request says, and every reason to refuse it."""

from __future__ import annotations

import pytest

from lockgate.worker.http.heads import CHUNKED, BadHead, parse


def head(*lines: bytes, first: bytes = b"POST /invocations?a=b HTTP/1.1") -> bytes:
    return b"\r\n".join([first, *lines, b"", b""])


def test_a_head_says_what_was_asked() -> None:
    read = parse(head(b"Host: a:1", b"Content-TYPE: text/csv; x=y", b"Content-Length:  12 \t", b"X-Request-Id: r-1"))
    assert (read.method, read.path, read.query) == (b"POST", b"/invocations", b"a=b")
    assert (read.content_type, read.length, read.id, read.keep_alive) == (b"text/csv; x=y", 12, b"r-1", True)
    assert read.headers[2] == (b"content-length", b"12")


def test_a_path_stays_as_it_was_sent() -> None:
    assert parse(head(b"Host: a", first=b"GET /models/a%2Fb//../c HTTP/1.1")).path == b"/models/a%2Fb//../c"


@pytest.mark.parametrize(
    ("line", "version", "kept"),
    [
        (b"Accept: */*", b"1.1", True),
        (b"Connection: close", b"1.1", False),
        (b"Connection: x, CLOSE", b"1.1", False),
        (b"Connection: keep-alive", b"1.1", True),
        (b"Accept: */*", b"1.0", False),
        (b"Connection: Keep-Alive", b"1.0", True),
        (b"Connection: keep-alive, close", b"1.0", False),
    ],
)
def test_a_client_says_whether_its_connection_stays(line: bytes, version: bytes, kept: bool) -> None:
    assert parse(head(b"Host: a", line, first=b"GET / HTTP/" + version)).keep_alive is kept


def test_a_whole_address_is_a_path_and_a_host_that_counts_more_than_the_header() -> None:
    read = parse(head(b"Host: other", first=b"GET http://models.example.org:80/ping?x HTTP/1.1"))
    assert (read.path, read.query, read.headers) == (b"/ping", b"x", [(b"host", b"models.example.org:80")])
    assert parse(head(b"Host: a", first=b"GET http://a HTTP/1.1")).path == b"/"


def test_an_offer_to_change_the_protocol_is_not_taken() -> None:
    read = parse(head(b"Host: a", b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 3"))
    assert (read.length, read.keep_alive) == (3, True)


def test_a_name_of_a_request_that_is_not_sane_is_not_used() -> None:
    for name in (b"a b", b'"x"', b"x" * 129, b"a\xff"):
        assert parse(head(b"Host: a", b"X-Request-Id: " + name)).id == b""


def test_chunks_and_expectations_are_seen() -> None:
    read = parse(head(b"Host: a", b"Transfer-Encoding: Chunked", b"Expect: 100-Continue"))
    assert (read.length, read.expects) == (CHUNKED, True)
    assert not parse(head(b"Expect: 100-continue", b"Content-Length: 1", first=b"POST / HTTP/1.0")).expects


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        # two readers could read two bodies out of these
        (head(b"Host: a", b"Content-Length: 5", b"Content-Length: 5"), 400),
        (head(b"Host: a", b"Content-Length: 5", b"Content-Length: 6"), 400),
        (head(b"Host: a", b"Content-Length: 5, 5"), 400),
        (head(b"Host: a", b"Content-Length: +5"), 400),
        (head(b"Host: a", b"Content-Length: -1"), 400),
        (head(b"Host: a", b"Content-Length: 0x5"), 400),
        (head(b"Host: a", b"Content-Length: 5_0"), 400),
        (head(b"Host: a", b"Content-Length: "), 400),
        (head(b"Host: a", b"Content-Length: 99999999999999999999999"), 400),
        (head(b"Host: a", b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
        (head(b"Host: a", b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
        (head(b"Host: a", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
        (head(b"Host: a", b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0"), 400),
        (head(b"Host: a", b"Transfer-Encoding: xchunked"), 400),
        (head(b"Host: a", b"Transfer-Encoding: chunked, identity"), 400),
        (head(b"Host: a", b"Transfer-Encoding: gzip, chunked"), 501),
        (head(b"Host: a", b"Transfer-Encoding : chunked"), 400),
        (head(b"Host: a", b"Transfer-Encoding:\x0bchunked"), 400),
        (head(b"Host: a", b" Transfer-Encoding: chunked"), 400),
        (head(b"Host: a", b"X: a", b" Content-Length: 5"), 400),
        (head(b"Host: a", b"X: a", b"\tContent-Length: 5"), 400),
        (head(b"Host: a", b"X: a\nContent-Length: 5"), 400),
        (head(b"Host: a", b"X: a\rContent-Length: 5"), 400),
        (head(b"Host: a", b"X: a\0b"), 400),
        (head(b"Host: a", b"X\xff: a"), 400),
        (head(b"Host: a", b": a"), 400),
        (head(b"Host: a", b"no colon"), 400),
        # whom do these mean?
        (head(b"Accept: */*"), 400),
        (head(b"Host: a", b"Host: b"), 400),
        (head(b"Host: a", first=b"GET http://me@a/ HTTP/1.1"), 400),
        (head(b"Host: a", first=b"GET http:///ping HTTP/1.1"), 400),
        (head(b"Host: a", first=b"CONNECT a:1 HTTP/1.1"), 400),
        # this is no request line
        (head(b"Host: a", first=b"GET /"), 400),
        (head(b"Host: a", first=b"GET  / HTTP/1.1"), 400),
        (head(b"Host: a", first=b"GET / HTTP/1.1 "), 400),
        (head(b"Host: a", first=b"GET / RTSP/1.0"), 400),
        (head(b"Host: a", first=b"GET /#a HTTP/1.1"), 400),
        (head(b"Host: a", first=b"GET /\xff HTTP/1.1"), 400),
        (head(b"Host: a", first=b"GET ping HTTP/1.1"), 400),
        (head(b"Host: a", first=b"GET / HTTP/2.0"), 505),
        (head(b"Host: a", first=b"GET / HTTP/1.2"), 505),
        (head(first=b"PRI * HTTP/2.0"), 505),
        (head(b"Host: a", first=b"get / HTTP/1.1"), 501),
        (head(b"Host: a", first=b"SING / HTTP/1.1"), 501),
        (head(b"Host: a", b"Expect: a cake"), 417),
        (head(b"Host: a", *[b"X: a"] * 100), 431),
    ],
)
def test_what_others_may_read_otherwise_is_refused(raw: bytes, status: int) -> None:
    with pytest.raises(BadHead) as refused:
        parse(raw)
    assert refused.value.status == status
    assert str(refused.value)
