"""An edge on a real socket in a thread of this process, and a client that sees bytes."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httptools
import uvloop

from lockgate.worker.http.asgi import UvicornConnections
from lockgate.worker.http.connections import Connections
from lockgate.worker.http.limits import Limits
from lockgate.worker.http.messages import CLOSE, Answer, Reply, Request, failure

KINDS: dict[str, type[Connections | UvicornConnections]] = {"lockgate": Connections, "uvicorn": UvicornConnections}
IDENTITY = b"x-lockgate-model: m\r\nx-lockgate-version: 7\r\n"
T = TypeVar("T")


class Loop:
    """uvloop's loop in a thread, as a worker runs it."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def wait_for(self, what: Coroutine[Any, Any, T]) -> T:
        """Run it there, and wait."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(20)

    def call(self, what: Callable[[], T]) -> T:
        """Call it there, and wait."""

        async def called() -> T:
            return what()

        return self.wait_for(called())

    def wait_until(self, what: Callable[[], bool]) -> None:
        """Look between the turns of the loop until it is so."""

        async def looking() -> None:
            async with asyncio.timeout(15):
                while not what():  # noqa: ASYNC110 - it is told by nobody
                    await asyncio.sleep(0.002)

        self.wait_for(looking())

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Behind:
    """What answers behind the edge under test."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.waiting: list[tuple[Request, Reply]] = []
        self.refused: list[int] = []
        self.hand_over_to: Path | None = None
        self.handed: list[bool] = []

    def __call__(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        match request.path:
            case b"/later":
                self.waiting.append((request, reply))
            case b"/seen":
                told = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers]
                seen = {"path": request.path.decode(), "query": request.query.decode(), "headers": told}
                reply(Answer(200, json.dumps(seen).encode(), identity=IDENTITY))
            case b"/large":
                reply(Answer(200, b"x" * int(request.query)))
            case b"/close":
                reply(Answer(200, b"bye", headers=(CLOSE,)))
            case b"/nothing":
                reply(Answer(204, b"", content_type=b""))
            case b"/fails":
                raise ZeroDivisionError
            case b"/elsewhere" if self.hand_over_to is not None and request.link is not None:
                self.handed.append(request.link.hand_over(self.hand_over_to))
                if not self.handed[-1]:
                    reply(Answer(200, b"stayed"))
            case b"/ping":
                reply(Answer(200, b"\n", identity=IDENTITY))
            case b"/echo" | b"/elsewhere":
                told_by = (b"x-method", request.method)
                reply(Answer(200, request.body, request.content_type, IDENTITY, (told_by,)))
            case _:
                reply(failure(404, "RESOURCE_DOES_NOT_EXIST", "There is nothing here."))

    def answer_all(self) -> None:
        """Answer what waits, the last one first."""
        waiting, self.waiting = self.waiting, []
        for request, reply in reversed(waiting):
            reply(Answer(200, request.query))


class Served:
    """One edge that listens."""

    def __init__(self, loop: Loop, kind: str, limits: Limits | None = None, **more: Any) -> None:
        self.loop = loop
        self.behind = Behind()
        tls: ssl.SSLContext | None = more.pop("tls", None)

        async def listen() -> asyncio.Server:
            def refused(_: Request, answer: Answer) -> None:
                self.behind.refused.append(answer.status)

            self.connections = KINDS[kind](
                self.behind, limits or Limits(), identity=IDENTITY, home="e", refused=refused, **more
            )
            return await asyncio.get_running_loop().create_server(self.connections, "127.0.0.1", 0, ssl=tls)

        self._server = loop.wait_for(listen())
        self.port = self._server.sockets[0].getsockname()[1]

    def client(self, **more: Any) -> Client:
        return Client(self.port, **more)

    def ask(self, path: str = "/ping") -> Response:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.ask(path)

    def end(self) -> None:
        self.loop.call(self._server.close)
        self.loop.call(self._abort)
        self.loop.wait_until(lambda: len(self.connections) == 0)

    def _abort(self) -> None:
        if isinstance(self.connections, UvicornConnections):
            for uvicorns in self.connections._all():
                uvicorns.transport.abort()
        else:
            for ours in self.connections._shared.open:
                ours._transport.abort()


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Sends bytes as they are, and reads answers one by one. It waits 15 s at most."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(15)
        self.socket.connect(("127.0.0.1", port))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> Client:
        for piece in pieces:
            self.socket.sendall(piece)
        return self

    def ask(self, path: str = "/ping", method: str = "GET", body: bytes = b"", *lines: str) -> Response:
        """One request on this connection, and its answer."""
        self.send(request(path, method, body, *lines))
        return self.read(bodiless=method == "HEAD")

    def read(self, *, bodiless: bool = False) -> Response:
        """The next answer, interim ones too."""
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        seen = _Head()
        httptools.HttpResponseParser(seen).feed_data(head + b"\r\n\r\n")
        lines = head.split(b"\r\n")
        headers = {name.decode().lower(): value.decode() for name, value in seen.headers}
        status = int(lines[0].split()[1])
        length = 0 if bodiless or status in (100, 204) else int(headers["content-length"])
        while len(self._buffer) < length:
            self._buffer += self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        assert len(seen.headers) == len(headers), "no header is told twice"
        return Response(status, headers, body)

    def is_ended(self) -> bool:
        """Whether the other end says no more: waits for that."""
        if self._buffer:
            return False
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def _more(self) -> bytes:
        data = self.socket.recv(1 << 16)
        assert data, f"the connection ended after {self._buffer[-200:]!r}"
        return data


class _Head:
    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))


def request(path: str = "/ping", method: str = "GET", body: bytes = b"", *lines: str) -> bytes:
    """The bytes of one request."""
    told = [f"{method} {path} HTTP/1.1", "Host: localhost", *lines]
    if body:
        told.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*told, "", ""]).encode() + body
