"""Processes that share a listening socket: here loops in threads, with the same memory between them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvloop

from lockgate.server.accepting import ABSENT, Share, leaves_it
from lockgate.server.main import listen

LONG = 0.3  # seconds of patience: on a busy machine the other one takes a while to wake


class Sharing:
    """One that accepts, until the block ends."""

    def __init__(self, listener: socket.socket, counts: list[int], slot: int) -> None:
        self.connections: set[asyncio.Protocol] = set()
        self._share = Share(counts, slot, patience=LONG)
        self._listener = listener
        self._started = threading.Event()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sharing:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._share.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def ready(self) -> None:
        self._loop.call_soon_threadsafe(self._share.ready)

    def _run(self) -> None:
        async def begin() -> None:
            self._share.open(self._listener, lambda: Holding(self.connections, self._share), self.connections)
            self._started.set()

        self._loop.run_until_complete(begin())
        self._loop.run_forever()
        self._loop.close()


class Holding(asyncio.Protocol):
    def __init__(self, held: set[asyncio.Protocol], share: Share) -> None:
        self._held, self._share = held, share

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._held.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._held.discard(self)
        self._share.publish()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with contextlib.closing(listen("127.0.0.1", 0)) as opened:
        yield opened


def test_each_takes_about_as_many_connections_as_the_other(listener):
    counts = [ABSENT, ABSENT]
    with Sharing(listener, counts, 0) as one, Sharing(listener, counts, 1) as two, ExitStack() as clients:
        for sharing in (one, two):
            sharing.ready()
        until(lambda: counts == [0, 0])
        for number in range(1, 9):
            clients.enter_context(socket.create_connection(listener.getsockname()))
            until(lambda number=number: sum(counts) == number)

        assert min(counts) >= 3


def test_who_cannot_answer_yet_takes_nothing_while_another_can(listener):
    counts = [ABSENT, ABSENT]
    with Sharing(listener, counts, 0), Sharing(listener, counts, 1) as able, ExitStack() as clients:
        able.ready()
        until(lambda: counts[1] == 0)
        for _ in range(5):
            clients.enter_context(socket.create_connection(listener.getsockname()))

        until(lambda: counts == [ABSENT, 5])


def test_while_nobody_can_answer_connections_are_taken_all_the_same(listener):
    with Sharing(listener, [ABSENT, ABSENT], 0) as one, socket.create_connection(listener.getsockname()):
        until(lambda: len(one.connections) == 1)


@pytest.mark.parametrize(
    ("counts", "mine", "is_ready", "leaves"),
    [
        ([3, 2], 3, True, True),
        ([3, 3], 3, True, False),
        ([3, ABSENT], 3, True, False),
        ([ABSENT, ABSENT], 0, False, False),
        ([ABSENT, 7], 0, False, True),
        ([1, 2, 0], 1, True, True),
    ],
)
def test_a_connection_is_left_to_whoever_has_fewer_and_can_answer(counts, mine, is_ready, leaves):
    assert leaves_it(counts, 0, mine, is_ready=is_ready) is leaves


def until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen within 20 s"
        time.sleep(0.005)
