"""HTTP/1.1 over kept connections straight from the event loop, so that the load costs less than what it measures."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httptools

ANSWER_LIMIT = 60.0  # seconds one answer may take


@dataclass(slots=True, kw_only=True)
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
        """Keep it if it is the first."""
        self.said = self.said or what[:400]


class Run(Protocol):
    """One order while it is carried out: until that reading of `time.perf_counter()`, which `measure` sets."""

    until: float

    @property
    def result(self) -> Result: ...

    def next(self, connection: int) -> tuple[Any, bytes] | None:
        """What `judge` will be given, and the request that this connection sends now; None when it is through."""

    def judge(self, asked: Any, status: int, body: bytes) -> None:
        """Count an answer."""


class Client(asyncio.Protocol):
    """One connection: asks, waits for the whole answer, asks again."""

    def __init__(self, run: Run, number: int, times: list[float]) -> None:
        self._run = run
        self._number = number
        self._times = times
        self._asked: Any = None
        self._at = 0.0
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def begin(self) -> None:
        """Ask the next question, or close when there is none."""
        found = self._run.next(self._number)
        if found is None:
            self._end()
            return
        self._asked, request = found
        self._at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        self._times.append(time.perf_counter() - self._at)
        self._run.judge(self._asked, self._parser.get_status_code(), b"".join(self._body))
        self._body.clear()
        keep = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        if keep:
            self.begin()
        else:
            self._lost("the connection was not kept")
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._lost("the connection was closed in the middle of an answer")

    def _lost(self, why: str) -> None:
        if not self.done.done():
            self._run.result.errors += 1
            self._run.result.note(why)
            self.done.set_result(None)

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self._transport.close()


async def measure(run: Run, port: int, connections: int, seconds: float) -> None:
    """Carry it out for so many seconds, and complete its result: every connection is open before the clock starts.

    An answer that takes `ANSWER_LIMIT` longer counts as an error, and so does a connection that is not taken.
    """
    loop = asyncio.get_running_loop()
    times: list[float] = []
    clients: list[Client] = []
    for number in range(connections):
        try:
            _, client = await loop.create_connection(lambda n=number: Client(run, n, times), "127.0.0.1", port)  # type: ignore[misc]
        except OSError as error:
            run.result.errors += 1
            run.result.note(f"it takes no connection: {error}")
            return
        clients.append(client)
    began, spent = time.perf_counter(), time.process_time()
    run.until = began + seconds
    for client in clients:
        client.begin()
    _, late = await asyncio.wait([client.done for client in clients], timeout=seconds + ANSWER_LIMIT)
    took = time.perf_counter() - began
    result = run.result
    result.errors += len(late)
    if late:
        result.note(f"no answer within {ANSWER_LIMIT:.0f} s")
    result.a_second = len(times) / took
    result.busy = (time.process_time() - spent) / took
    if times:
        times.sort()
        result.p50 = 1000 * times[len(times) // 2]
        result.p99 = 1000 * times[min(len(times) - 1, len(times) * 99 // 100)]
