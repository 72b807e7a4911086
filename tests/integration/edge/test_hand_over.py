"""A client's connection goes from one edge to another, and the client notices nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.edge.edges import KINDS, Loop, Served, request

Serve = Callable[..., Served]
GREEN = Path("/green")


class Giver:
    """What `Connections` gives with: to the edge `to`, by way of another descriptor, as between two processes."""

    def __init__(self) -> None:
        self.to: Served | None = None
        self.given: list[tuple[Path, bytes, str, int]] = []

    def __call__(self, folder: Path, connection: socket.socket, raw: bytes, home: str, switches: int) -> bool:
        if self.to is None:
            return False
        self.given.append((folder, raw, home, switches))
        self.to.connections.adopt(connection.dup(), raw, home, switches)
        return True


@pytest.fixture
def giver() -> Giver:
    return Giver()


@pytest.fixture
def blue(serve: Serve, giver: Giver) -> Served:
    return serve("lockgate", give=giver)


@pytest.fixture(params=sorted(KINDS))
def green(serve: Serve, giver: Giver, request: pytest.FixtureRequest) -> Served:
    giver.to = serve(request.param, give=lambda *_: False)
    return giver.to


def give_all(blue: Served) -> None:
    blue.loop.call(lambda: blue.connections.give_all(lambda: GREEN))


def test_an_idle_connection_goes_at_once(blue: Served, green: Served, giver: Giver) -> None:
    with blue.client() as asked, blue.client() as silent:
        assert asked.ask().status == 200
        blue.loop.wait_until(lambda: len(blue.connections) == 2)
        give_all(blue)
        blue.loop.wait_until(lambda: len(blue.connections) == 0)
        assert giver.given == [(GREEN, b"", "e", 0)] * 2
        assert "connection" not in asked.ask().headers
        assert silent.ask().status == 200
    assert (len(blue.behind.requests), len(green.behind.requests)) == (1, 2)


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        (b"GET /ping HT", b"TP/1.1\r\nHost: a\r\n\r\n"),
        (request("/echo", "POST", b"", "Content-Length: 9") + b"hell", b"o you"),
        (request("/echo", "POST", b"", "Transfer-Encoding: chunked") + b"5\r\nhel", b"lo\r\n4\r\n you\r\n0\r\n\r\n"),
        (request("/echo", "POST", b"", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n4;a", b"\r\n you\r\n0\r\n\r\n"),
    ],
)
def test_a_request_that_is_still_coming_goes_with_what_came_of_it(
    blue: Served, green: Served, begun: bytes, rest: bytes
) -> None:
    with blue.client() as client:
        assert client.ask().status == 200
        client.send(begun)
        blue.loop.wait_until(lambda: any(each.is_busy for each in blue.connections._shared.open))
        give_all(blue)
        blue.loop.wait_until(lambda: len(blue.connections) == 0)
        client.send(rest)
        assert client.read().body in (b"\n", b"hello you")
        assert client.ask().status == 200
    assert (len(blue.behind.requests), len(green.behind.requests)) == (1, 2)


def test_a_request_that_is_being_answered_is_answered_and_its_connection_goes_then(blue: Served, green: Served) -> None:
    with blue.client() as client:
        client.send(request("/later?x"), request("/echo", "POST", b"next"))
        blue.loop.wait_until(lambda: bool(blue.behind.waiting))
        give_all(blue)
        assert len(blue.connections) == 1
        blue.loop.call(blue.behind.answer_all)
        told = client.read()
        assert (told.body, "connection" in told.headers) == (b"x", False)
        assert client.read().body == b"next"
    assert [each.path for each in green.behind.requests] == [b"/echo"]
    assert [each.path for each in blue.behind.requests] == [b"/later"]


def test_a_connection_that_nobody_takes_is_closed_by_its_next_answer(blue: Served) -> None:
    with blue.client() as idle, blue.client() as sending:
        assert idle.ask().status == 200
        sending.send(request("/echo", "POST", b"", "Content-Length: 5") + b"he")
        blue.loop.wait_until(lambda: any(each._body is not None for each in blue.connections._shared.open))
        give_all(blue)
        assert (idle.ask().headers["connection"], idle.is_ended()) == ("close", True)
        sending.send(b"llo")
        told = sending.read()
        assert (told.body, told.headers["connection"], sending.is_ended()) == (b"hello", "close", True)


def test_a_new_client_of_one_that_gives_all_goes_too(blue: Served, green: Served) -> None:
    give_all(blue)
    with blue.client() as client:
        assert client.ask().status == 200
    assert (len(blue.behind.requests), len(green.behind.requests)) == (0, 1)


def test_taking_it_back_keeps_connections_here(blue: Served, green: Served) -> None:
    give_all(blue)
    blue.loop.call(blue.connections.stay)
    with blue.client() as client:
        assert client.ask().status == client.ask().status == 200
    assert (len(blue.behind.requests), len(green.behind.requests)) == (2, 0)


@pytest.mark.parametrize("lines", [("Content-Length: 5",), ("Transfer-Encoding: chunked",)])
def test_one_request_can_take_its_connection_elsewhere(
    blue: Served, green: Served, giver: Giver, lines: tuple[str, ...]
) -> None:
    blue.behind.hand_over_to = GREEN
    body = b"5\r\nhello\r\n0\r\n\r\n" if lines[0].endswith("chunked") else b"hello"
    with blue.client() as client:
        assert client.ask().status == 200
        client.send(request("/elsewhere?a=b", "POST", b"", *lines) + body + request("/ping"))
        assert client.read().body == b"hello"
        assert client.read().body == b"\n"
    assert blue.behind.handed == [True]
    assert giver.given[0][3] == 1
    assert [(each.path, each.query) for each in green.behind.requests] == [(b"/elsewhere", b"a=b"), (b"/ping", b"")]
    link = green.behind.requests[0].link
    assert link is not None
    assert (link.home, link.switches) == ("e", 1)


def test_nothing_goes_while_an_earlier_answer_is_on_its_way(blue: Served, green: Served) -> None:
    blue.behind.hand_over_to = GREEN
    with blue.client(receive_buffer=4096) as client:
        # enough for the client's and the kernel's buffers, but not for a pause before the next request
        client.send(request("/large?60000") + request("/elsewhere", "POST", b"x"))
        assert len(client.read().body) == 60_000
        assert client.read().body in (b"stayed", b"x")
    # one or the other answered it, and only one
    assert (blue.behind.handed == [True]) is (len(green.behind.requests) == 1)


def test_a_client_that_says_no_more_is_still_answered_elsewhere(blue: Served, giver: Giver, serve: Serve) -> None:
    green = giver.to = serve("lockgate", give=giver)  # uvicorn ends a connection whose client says no more
    with blue.client() as client:
        client.send(request("/later?x"), request("/ping"))
        client.socket.shutdown(socket.SHUT_WR)
        blue.loop.wait_until(lambda: any(each._half_closed for each in blue.connections._shared.open))
        give_all(blue)
        blue.loop.call(blue.behind.answer_all)
        assert (client.read().body, client.read().body, client.is_ended()) == (b"x", b"\n", True)
    assert len(green.behind.requests) == 1


pieces = st.lists(st.integers(1, 40), min_size=1, max_size=6)


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=8), pieces, st.integers(0, 6), st.booleans())
@settings(max_examples=max(20, settings.default.max_examples // 4) if settings.default else 20)
def test_every_request_is_answered_once_and_in_order_whenever_the_connection_goes(
    two: tuple[Served, Served, Giver], bodies: list[bytes], sizes: list[int], when: int, chunked: bool
) -> None:
    blue, green, giver = two
    giver.given.clear()
    giver.to = green
    raw = b"".join(_asked(body, chunked) for body in bodies)
    with blue.client() as client:
        at, turn = 0, 0
        while at < len(raw):
            if turn == when:
                give_all(blue)
            client.send(raw[at : at + sizes[turn % len(sizes)]])
            at, turn = at + sizes[turn % len(sizes)], turn + 1
        assert [client.read().body for _ in bodies] == bodies
        assert client.ask().status == 200
    blue.loop.call(blue.connections.stay)
    assert len(giver.given) <= 1


def _asked(body: bytes, chunked: bool) -> bytes:
    if not chunked:
        return request("/echo", "POST", body)
    parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part)
    return request("/echo", "POST", b"", "Transfer-Encoding: chunked") + parts + b"0\r\n\r\n"


@pytest.fixture(scope="module")
def two(loop: Loop) -> Iterator[tuple[Served, Served, Giver]]:
    giver = Giver()
    blue, green = Served(loop, "lockgate", give=giver), Served(loop, "lockgate", give=giver)
    yield blue, green, giver
    blue.end()
    green.end()
