"""A transport without a socket, and what a client would read from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httptools

from lockgate.worker.http.connection import Connection
from lockgate.worker.http.limits import Limits
from lockgate.worker.http.messages import Answer, App, Reply, Request
from lockgate.worker.http.shared import Shared

T = TypeVar("T")


class FakeTransport(asyncio.Transport):
    """Keeps asyncio's promises: nothing is written after a close, and the end is told once, a turn later."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self.written = bytearray()
        self.closing = False
        self.ended = False  # our side: no more is written
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing
        assert not self.ended
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


@dataclass
class Client:
    """The other end: `app` has seen these requests, and this is what came back."""

    requests: list[Request]
    answers: list[tuple[int, bytes]]
    is_ended: bool
    connection: Connection


@dataclass
class _Answers:
    """Answers as a client's parser reads them. Raises what httptools raises when it is no HTTP."""

    bodiless: Sequence[bytes] = ()
    done: list[tuple[int, bytes]] = field(default_factory=list)
    body: bytes = b""

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.done.append((self.parser.get_status_code(), self.body))
        self.body = b""

    def read(self, raw: bytes) -> list[tuple[int, bytes]]:
        self.parser: Any = httptools.HttpResponseParser(self)
        self.parser.feed_data(raw)
        return [each for each in self.done if each[0] != 100]


def echo(request: Request, reply: Reply) -> None:
    """Answers at once with what it was asked."""
    reply(Answer(200, request.method + b" " + request.path + b" " + request.body))


def talk(pieces: Sequence[bytes], app: App = echo, limits: Limits | None = None, *, eof: bool = False) -> Client:
    """Send the pieces one after the other, each in a turn of the loop, and say what happened."""
    requests: list[Request] = []

    def seen(request: Request, reply: Reply) -> None:
        requests.append(request)
        app(request, reply)

    async def conversation() -> Client:
        connection = Connection(Shared(seen, limits or Limits()))
        transport = FakeTransport(connection)
        connection.connection_made(transport)
        for piece in pieces:
            if transport.closing:
                break
            if piece:
                connection.data_received(piece)
            await asyncio.sleep(0)
        if eof and not transport.closing and not connection.eof_received():
            transport.close()
        while connection._turn or connection._exchange is not None:  # noqa: ASYNC110 - turn by turn is the point
            await asyncio.sleep(0)
        raw = bytes(transport.written)
        # no HEAD in what asks for this: its answers tell a length and have no body
        return Client(requests, _Answers().read(raw), transport.closing or transport.ended, connection)

    return run(conversation)


def run(what: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """On a loop of its own."""
    loop = asyncio.SelectorEventLoop()
    try:
        return loop.run_until_complete(what())
    finally:
        loop.close()
