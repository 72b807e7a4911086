"""The load generator, a process of its own: one order a line on standard input, one result a line on standard output.

It speaks HTTP/1.1 over kept connections straight from the event loop, so that it costs less than what it measures.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import cast

import httptools
import uvloop

from benchmarks.registry.shots import SHOTS, Shot

ANSWER_LIMIT = 60.0  # seconds one answer may take


@dataclass(frozen=True, slots=True)
class Order:
    """Which cell, at which port, by how many connections, and when to stop: after `seconds`, or `most` requests.

    `start` is the number of the first request of a cell whose requests are all different.
    """

    cell: str
    port: int
    connections: int
    seconds: float
    most: int
    start: int


@dataclass(slots=True)
class Result:
    """What came of it, times in milliseconds. An error is a status other than 200 or an answer that never came."""

    answered: int = 0
    errors: int = 0
    wrong: int = 0
    a_second: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    busy: float = 0.0  # how much of a core the load itself took: near 1.0 it is what was measured
    said: str = ""  # the first error or wrong answer

    def note(self, what: str) -> None:
        self.said = self.said or what


@dataclass(slots=True)
class Run:
    """One cell while it is measured."""

    shots: Iterator[Shot]
    until: float
    most: int
    result: Result = field(default_factory=Result)
    times: list[float] = field(default_factory=list)
    right: dict[bytes, bytes] = field(default_factory=dict)

    def next(self) -> Shot | None:
        """What to ask next, until it is time to stop."""
        if self.most <= 0 or time.perf_counter() >= self.until:
            return None
        self.most -= 1
        return next(self.shots)

    def judge(self, shot: Shot, status: int, body: bytes) -> None:
        """Count an answer; one that was found right before need not be read again."""
        self.result.answered += 1
        if status != 200:
            self.result.errors += 1
            self.result.note(f"{status}: {body[:400].decode(errors='replace')}")
            return
        if self.right.get(shot.request) == body:
            return
        try:
            wrong = shot.check(json.loads(body))
        except (ValueError, KeyError, TypeError) as error:
            wrong = f"{type(error).__name__}: {error} in {body[:300]!r}"
        if wrong:
            self.result.wrong += 1
            self.result.note(str(wrong)[:400])
        elif shot.repeats:
            self.right[shot.request] = body


class Client(asyncio.Protocol):
    """One connection: asks, waits for the whole answer, asks again."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._shot: Shot | None = None
        self._asked = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def begin(self) -> None:
        self._shot = self._run.next()
        if self._shot is None:
            self._end()
            return
        self._asked = time.perf_counter()
        self._transport.write(self._shot.request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        self._run.times.append(time.perf_counter() - self._asked)
        assert self._shot is not None
        self._run.judge(self._shot, self._parser.get_status_code(), b"".join(self._body))
        self._body.clear()
        keep = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        if keep:
            self.begin()
        else:
            self._run.result.note("the connection was not kept")
            self._run.result.errors += 1
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if not self.done.done():
            self._run.result.errors += 1
            self._run.result.note("the connection was closed in the middle of an answer")
            self.done.set_result(None)

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self._transport.close()


async def measure(order: Order) -> Result:
    """Carry out one order: every connection is open before the clock starts."""
    loop = asyncio.get_running_loop()
    run = Run(SHOTS[order.cell](order.start), 0.0, order.most)
    clients: list[Client] = []
    for _ in range(order.connections):
        _, client = await loop.create_connection(lambda: Client(run), "127.0.0.1", order.port)
        clients.append(client)
    began, spent = time.perf_counter(), time.process_time()
    run.until = began + order.seconds
    for client in clients:
        client.begin()
    _, late = await asyncio.wait([client.done for client in clients], timeout=order.seconds + ANSWER_LIMIT)
    took = time.perf_counter() - began
    run.result.errors += len(late)
    if late:
        run.result.note(f"no answer within {ANSWER_LIMIT:.0f} s")
    run.result.a_second = len(run.times) / took
    run.result.busy = (time.process_time() - spent) / took
    if run.times:
        run.times.sort()
        run.result.p50 = 1000 * run.times[len(run.times) // 2]
        run.result.p99 = 1000 * run.times[min(len(run.times) - 1, len(run.times) * 99 // 100)]
    return run.result


def main() -> None:
    """Answer orders until standard input ends."""
    for line in sys.stdin:
        result = uvloop.run(measure(Order(**json.loads(line))))
        print(json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    main()
