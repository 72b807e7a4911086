"""What a client may rely on, whichever edge a worker has: every test runs on both."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable

import pytest

from lockgate.worker.http.limits import Limits
from tests.integration.edge.edges import KINDS, Served, request

Serve = Callable[..., Served]


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def served(kind: str, serve: Serve) -> Served:
    return serve(kind, Limits(body_bytes=1000, head_bytes=2000))


def test_a_connection_stays_open_from_answer_to_answer(served: Served) -> None:
    with served.client() as client:
        for number in range(3):
            told = client.ask("/echo", "POST", b"%d" % number, "Content-Type: text/csv; a=b")
            assert (told.status, told.body, told.headers["content-type"]) == (200, b"%d" % number, "text/csv; a=b")
            assert told.headers["x-method"] == "POST"
            assert "connection" not in told.headers


def test_every_answer_has_an_id_a_date_and_the_headers_it_was_given(served: Served) -> None:
    with served.client() as client:
        one, other = client.ask(), client.ask()
        assert one.headers["x-request-id"] != other.headers["x-request-id"]
        assert (one.headers["x-lockgate-model"], one.headers["x-lockgate-version"]) == ("m", "7")
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", one.headers["date"])
        own = client.ask("/ping", "GET", b"", "X-Request-Id: order-66/a")
        assert own.headers["x-request-id"] == "order-66/a"
        strange = client.ask("/ping", "GET", b"", "X-Request-Id: a b\tc")
        assert strange.headers["x-request-id"] not in ("a b\tc", one.headers["x-request-id"])


def test_the_request_is_told_as_it_was_sent(served: Served) -> None:
    with served.client() as client:
        told = json.loads(client.ask("/seen?a=%20b&c", "GET", b"", "X-A:  one two \t", "x-a: three").body)
    assert (told["path"], told["query"]) == ("/seen", "a=%20b&c")
    assert [value for name, value in told["headers"] if name == "x-a"] == ["one two", "three"]


def test_answers_come_in_the_order_of_the_requests(served: Served) -> None:
    with served.client() as client:
        asked = b"".join(request(f"/later?{number}") + request(f"/echo?{number}") for number in range(5))
        client.send(asked)
        for number in range(5):
            served.loop.wait_until(lambda: bool(served.behind.waiting))
            served.loop.call(served.behind.answer_all)
            assert client.read().body == b"%d" % number
            assert client.read().headers["x-method"] == "GET"


def test_a_head_and_a_body_may_come_byte_by_byte(served: Served) -> None:
    with served.client() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw = request("/echo", "POST", b"hello") + request("/echo", "POST", b"again")
        client.send(*[raw[at : at + 1] for at in range(len(raw))])
        assert (client.read().body, client.read().body) == (b"hello", b"again")


def test_a_body_may_come_in_chunks(served: Served) -> None:
    with served.client() as client:
        head = request("/echo", "POST", b"", "Transfer-Encoding: chunked")
        client.send(head, b"5;a=b\r\nhe", b"llo\r\n1\r\n!", b"\r\n0\r\n", b"X-Sum: 3\r\n\r\n", request("/echo"))
        assert client.read().body == b"hello!"
        assert client.read().body == b""


def test_a_client_that_asks_first_is_told_to_go_on(served: Served) -> None:
    with served.client() as client:
        client.send(request("/echo", "POST", b"", "Content-Length: 5", "Expect: 100-continue"))
        assert client.read().status == 100
        client.send(b"hello")
        assert client.read().body == b"hello"


def test_an_answer_to_head_tells_the_length_and_has_no_body(served: Served) -> None:
    with served.client() as client:
        told = client.ask("/ping", "HEAD")
        assert (told.status, told.headers["content-length"]) == (200, "1")
        assert client.ask("/ping").body == b"\n"


def test_an_answer_without_content_has_no_length(served: Served) -> None:
    with served.client() as client:
        told = client.ask("/nothing")
        assert told.status == 204
        assert not {"content-length", "content-type"} & set(told.headers)
        assert client.ask("/ping").status == 200


def test_a_client_that_wants_to_close_is_closed_after_its_answer(served: Served) -> None:
    with served.client() as client:
        told = client.ask("/ping", "GET", b"", "Connection: close")
        assert (told.status, told.headers["connection"]) == (200, "close")
        assert client.is_ended()


def test_a_client_of_http_1_0_is_closed_after_its_answer(served: Served) -> None:
    with served.client() as client:
        client.send(b"GET /ping HTTP/1.0\r\n\r\n")
        assert (client.read().status, client.is_ended()) == (200, True)


def test_an_answer_can_end_its_connection(served: Served) -> None:
    with served.client() as client:
        assert client.ask("/close").headers["connection"] == "close"
        assert client.is_ended()


def test_what_fails_behind_the_edge_is_an_answer(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with served.client() as client:
        assert client.ask("/fails").status == 500
    assert served.ask().status == 200


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400),
        (b"GET /ping HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: a\r\nExpect: a cake\r\n\r\n", 417),
        (b"GET /ping HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 120 + b"\r\n", 431),
        (b"GET /ping HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 3000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
    ],
)
def test_what_is_refused_is_told_in_mlflows_form_and_ends_the_connection(
    served: Served, raw: bytes, status: int
) -> None:
    with served.client() as client:
        told = client.send(raw).read()
        assert (told.status, told.headers["connection"], client.is_ended()) == (status, "close", True)
        assert set(json.loads(told.body)) == {"error_code", "message"}
        assert {"x-request-id", "x-lockgate-model", "date"} <= set(told.headers)
        assert served.behind.refused[0] == status
        assert not served.behind.requests


def test_a_chunked_body_beyond_the_limit_is_refused(served: Served) -> None:
    with served.client() as client:
        client.send(request("/echo", "POST", b"", "Transfer-Encoding: chunked"), b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        assert client.send(b"1\r\nx\r\n").read().status == 413
        assert not served.behind.requests


@pytest.mark.parametrize("raw", [b"zz\r\n", b"ffffffffffffffff1\r\n", b"5\r\nhelloX\r\n"])
def test_what_is_no_chunk_never_becomes_a_request(served: Served, raw: bytes) -> None:
    with served.client() as client:
        client.send(request("/echo", "POST", b"", "Transfer-Encoding: chunked"), raw)
        assert (client.read().status, client.is_ended()) == (400, True)
    assert not served.behind.requests


def test_a_request_that_does_not_come_whole_in_time_is_ended(kind: str, serve: Serve) -> None:
    served = serve(kind, Limits(read_seconds=0.2))
    for begun in (b"GET /ping HTT", request("/echo", "POST", b"", "Content-Length: 9") + b"hello"):
        with served.client() as client:
            assert client.send(begun).read().status == 408
            assert client.is_ended()
    assert not served.behind.requests


def test_a_client_that_asks_nothing_is_closed_without_a_word(kind: str, serve: Serve) -> None:
    served = serve(kind, Limits(idle_seconds=0.2))
    with served.client() as silent, served.client() as asking:
        assert asking.ask().status == 200
        assert silent.is_ended()
        assert asking.is_ended()


def test_a_connection_beyond_the_limit_is_told_to_come_again(kind: str, serve: Serve) -> None:
    served = serve(kind, Limits(connections=2))
    with served.client() as one, served.client() as two:
        assert (one.ask().status, two.ask().status) == (200, 200)
        with served.client() as three:
            told = three.read()
            assert (told.status, told.headers["retry-after"], three.is_ended()) == (503, "1", True)
        assert (one.ask().status, two.ask().status) == (200, 200)
    served.loop.wait_until(lambda: len(served.connections) == 0)
    assert served.ask().status == 200


def test_leaving_makes_the_next_answer_the_last_and_staying_takes_that_back(served: Served) -> None:
    with served.client() as early, served.client() as asking, served.client() as late:
        assert late.ask().status == early.ask().status == 200
        asking.send(request("/later?x"))
        served.loop.wait_until(lambda: bool(served.behind.waiting))
        served.loop.call(served.connections.leave)
        served.loop.call(served.behind.answer_all)
        assert (asking.read().headers["connection"], asking.is_ended()) == ("close", True)
        assert (early.ask().headers["connection"], early.is_ended()) == ("close", True)
        served.loop.call(served.connections.stay)
        assert "connection" not in late.ask().headers
        assert late.ask().status == 200


def test_only_what_is_idle_is_closed(served: Served) -> None:
    with served.client() as idle, served.client() as asking, served.client() as sending:
        assert idle.ask().status == 200
        asking.send(request("/later?x"))
        sending.send(b"GET /ping HTTP/1.1\r\nHo")
        served.loop.wait_until(lambda: bool(served.behind.waiting) and len(served.connections) == 3)
        served.loop.call(served.connections.close_idle)
        assert idle.is_ended()
        served.loop.call(served.behind.answer_all)
        assert asking.read().body == b"x"
        sending.send(b"st: a\r\n\r\n")
        assert sending.read().status == 200


def test_a_client_that_is_gone_before_its_answer_harms_nobody(served: Served) -> None:
    with served.client() as client:
        client.send(request("/later?x"))
        served.loop.wait_until(lambda: bool(served.behind.waiting))
    served.loop.call(served.behind.answer_all)
    served.loop.wait_until(lambda: len(served.connections) == 0)
    assert served.ask().status == 200
