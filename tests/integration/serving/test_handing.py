"""A client's connection passes from one worker to another, and the client notices nothing."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lockgate.wire.workers import CONNECTIONS_SOCKET
from lockgate.worker.handing import MOST_BYTES, Giver, Taker
from lockgate.worker.local_sockets import connected


@dataclass
class Clock:
    """Stands until it is set."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Taken:
    """What a worker was handed, in order."""

    connections: list[tuple[socket.socket, bytes, str, int]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, connection: socket.socket, raw: bytes, home: str, switches: int) -> None:
        self.connections.append((connection, raw, home, switches))
        self.came.set()

    async def until(self, number: int) -> None:
        """Wait for so many."""
        while len(self.connections) < number:
            self.came.clear()
            await self.came.wait()

    def close(self) -> None:
        for connection, *_ in self.connections:
            connection.close()


def run(
    work: Callable[[Taken, Taker, Giver], Awaitable[None]], folder: Path, clock: Callable[[], float] = time.monotonic
) -> None:
    """Run `work` beside a taker in `folder`."""

    async def beside() -> None:
        taken = Taken()
        taker = Taker(folder, taken)
        taker.open()
        giver = Giver(clock)
        try:
            await work(taken, taker, giver)
        finally:
            giver.close()
            taker.close()
            taken.close()

    asyncio.run(asyncio.wait_for(beside(), 30))


def test_a_connection_arrives_with_its_unread_bytes_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async def work(taken: Taken, _: Taker, giver: Giver) -> None:
        client, ours = socket.socketpair()
        with client, ours:
            assert giver.give(tmp_path, ours, b"POST /inv", "endpoint ö", 2)
        giver.close()
        await taken.until(1)
        assert taken.connections[0][1:] == (b"POST /inv", "endpoint ö", 2)

    run(work, tmp_path)


def test_the_client_goes_on_talking_after_the_giver_has_let_go(tmp_path: Path) -> None:
    async def work(taken: Taken, _: Taker, giver: Giver) -> None:
        client, ours = socket.socketpair()
        with client:
            with ours:
                assert giver.give(tmp_path, ours, b"", "", 0)
            client.sendall(b"still here?")
            await taken.until(1)
            connection = taken.connections[0][0]
            assert connection.recv(100) == b"still here?"
            assert not connection.get_inheritable()
            connection.sendall(b"yes")
            assert client.recv(100) == b"yes"

    run(work, tmp_path)


def test_a_thousand_connections_in_one_go_all_arrive(tmp_path: Path) -> None:
    async def work(taken: Taken, _: Taker, giver: Giver) -> None:
        client, ours = socket.socketpair()
        # the taker is another process in truth: here it is this loop, so the giver works in a thread
        given = await asyncio.to_thread(lambda: [giver.give(tmp_path, ours, b"x", "", 0) for _ in range(1000)])
        assert given == [True] * 1000
        await taken.until(1000)
        giver.close()
        client.close()
        ours.close()

    run(work, tmp_path)


def test_nobody_there_means_no_and_nothing_has_happened(tmp_path: Path) -> None:
    giver = Giver()
    client, ours = socket.socketpair()
    with client, ours:
        assert not giver.give(tmp_path, ours, b"", "", 0)
        assert not giver.give(tmp_path / "gone", ours, b"", "", 0)
        ours.sendall(b"mine still")
        assert client.recv(100) == b"mine still"


def test_a_request_that_is_too_long_stays_where_it_is(tmp_path: Path) -> None:
    async def work(taken: Taken, _: Taker, giver: Giver) -> None:
        client, ours = socket.socketpair()
        with client, ours:
            assert not giver.give(tmp_path, ours, b"x" * (MOST_BYTES + 1), "", 0)
            assert giver.give(tmp_path, ours, b"x" * MOST_BYTES, "", 0)
            await taken.until(1)
            assert len(taken.connections[0][1]) == MOST_BYTES

    run(work, tmp_path)


def test_a_worker_that_takes_nothing_is_left_alone_for_a_while(tmp_path: Path) -> None:
    clock = Clock()

    async def work(taken: Taken, _: Taker, giver: Giver) -> None:
        client, ours = socket.socketpair()
        with client, ours:
            given = 0
            while giver.give(tmp_path, ours, b"x" * 4096, "", 0):  # nobody reads while this loop is held up
                given += 1
            assert 0 < given < 1000
            await taken.until(given)
            assert not giver.give(tmp_path, ours, b"", "", 0)
            clock.now = 1.5
            assert giver.give(tmp_path, ours, b"", "", 0)
            await taken.until(given + 1)

    run(work, tmp_path, clock)


def test_a_worker_that_took_the_place_of_another_is_found_again(tmp_path: Path) -> None:
    async def work(taken: Taken, taker: Taker, giver: Giver) -> None:
        client, ours = socket.socketpair()
        with client, ours:
            assert giver.give(tmp_path, ours, b"first", "", 0)
            taker.close()
            assert [raw for _, raw, *_ in taken.connections] == [b"first"]  # what was under way is not lost
            taker.open()
            assert giver.give(tmp_path, ours, b"second", "", 0)
            await taken.until(2)

    run(work, tmp_path)


@pytest.mark.parametrize("packet", [b"x", b"\x00\xff\xff short", b"\x00\x00\x00 without a descriptor"])
def test_what_is_no_connection_harms_nobody(packet: bytes, tmp_path: Path) -> None:
    async def work(taken: Taken, _: Taker, giver: Giver) -> None:
        with connected(tmp_path, CONNECTIONS_SOCKET, socket.SOCK_SEQPACKET) as line:
            line.send(packet)
        client, ours = socket.socketpair()
        with client, ours:
            assert giver.give(tmp_path, ours, b"good", "", 0)
            await taken.until(1)
        assert [raw for _, raw, *_ in taken.connections] == [b"good"]

    run(work, tmp_path)
