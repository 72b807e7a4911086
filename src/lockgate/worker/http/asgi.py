"""The same edge on uvicorn: slower, with no hand-over, and in use by thousands (`--edge uvicorn`).

It answers what the edge of our own answers, and its connections are ended instead of handed to another worker.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from time import monotonic
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from lockgate.worker.http.access import AccessLog
from lockgate.worker.http.answers import date_line, rendered
from lockgate.worker.http.heads import BadHead, Head, read_headers
from lockgate.worker.http.limits import MOST_HEADERS, Limits
from lockgate.worker.http.messages import CLOSE, Answer, App, Request, failure
from lockgate.worker.http.shared import Give, Refused, Shared, too_long, too_many

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger("lockgate.worker")


class Gone(Exception):
    """The client left before its request was complete."""


class Refusal(Exception):
    """The request is answered by the edge itself."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class FixedLink:
    """A connection that stays where it is."""

    def __init__(self, home: str, switches: int) -> None:
        self.home = home
        self.switches = switches

    def hand_over(self, folder: Path) -> bool:  # noqa: ARG002 - the protocol names it
        """Never: uvicorn keeps no bytes of a request."""
        return False


class AsgiApp:
    """What answers requests, as an ASGI application."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began = monotonic()
        head = Head(
            b"",
            scope["method"].encode(),
            scope.get("raw_path") or scope["path"].encode(),
            scope["query_string"],
            [(name, value.strip(b" \t")) for name, value in scope["headers"]],
            is_old=scope["http_version"] == "1.0",
        )
        shared = self._shared
        request = Request(head.method, head.path, head.query, head.headers, b"", began=began)
        try:
            read_headers(head)
            request.id, request.content_type = head.id or shared.fresh_id(), head.content_type
            request.body = await self._body(head, receive)
            answer = await self._answered(request, scope)
        except BadHead as error:
            answer = self._refused(request, failure(error.status, "BAD_REQUEST", str(error), CLOSE))
        except Refusal as refusal:
            answer = self._refused(request, refusal.answer)
        except Gone:
            return
        await self._give(request, answer, scope, send)

    def _refused(self, request: Request, answer: Answer) -> Answer:
        shared = self._shared
        request.id = request.id or shared.fresh_id()
        answer.identity = shared.identity
        if shared.refused is not None:
            shared.refused(request, answer)
        return answer

    async def _answered(self, request: Request, scope: Scope) -> Answer:
        shared = self._shared
        told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def reply(answer: Answer) -> None:
            if not told.done():
                told.set_result(answer)

        if shared.give is not None:
            state = scope["state"]
            request.link = FixedLink(state.get("home") or shared.home, state.get("switches", 0))
        try:
            shared.app(request, reply)
        except Exception:  # noqa: BLE001 - what is behind the edge must not raise, and a client would wait for ever
            _log.exception("a request could not be answered")
            reply(failure(500, "INTERNAL_ERROR", "The request could not be answered.", CLOSE))
        return await told

    async def _body(self, head: Head, receive: Receive) -> bytes:
        limits = self._shared.limits
        if head.length > limits.body_bytes:
            raise Refusal(too_long(limits))
        if head.length == 0:
            return b""
        try:
            async with asyncio.timeout(limits.read_seconds):
                return await self._parts(receive)
        except TimeoutError:
            told = "The request did not come whole in time."
            raise Refusal(failure(408, "BAD_REQUEST", told, CLOSE)) from None

    async def _parts(self, receive: Receive) -> bytes:
        limits = self._shared.limits
        body = bytearray()
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise Gone
            body += event.get("body", b"")
            if len(body) > limits.body_bytes:
                raise Refusal(too_long(limits))
            if not event.get("more_body", False):
                return bytes(body)

    async def _give(self, request: Request, answer: Answer, scope: Scope, send: Send) -> None:
        shared = self._shared
        headers = [(name, value) for name, value in answer.headers if name != b"connection"]
        if answer.content_type:
            headers.append((b"content-type", answer.content_type))
        headers += [_pair(line) for line in answer.identity.split(b"\r\n") if line]
        headers += [_pair(date_line().rstrip()), (b"x-request-id", request.id)]
        if answer.status not in (204, 304):
            headers.append((b"content-length", str(len(answer.body)).encode()))
        if shared.leaving or CLOSE in answer.headers or scope["http_version"] == "1.0":
            headers.append(CLOSE)
        if shared.access is not None:
            shared.access.add(request, answer, _named(scope.get("client")))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


class UvicornConnection(HttpToolsProtocol):
    """One client connection, with limits on silence and on what it may send, and a way to leave."""

    shared: Shared

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that never asks anything is closed like one that asks nothing more."""
        super().connection_made(transport)
        self._head_bytes = 0
        self._refusal: Answer | None = None
        self._stuck: asyncio.TimerHandle | None = None
        raw = self.app_state.get("adopted")
        if raw:
            self.data_received(raw)
        elif raw is None and len(self.connections) > self.shared.limits.connections:
            self._refuse(too_many())
            return
        self._limit_the_silence(self.shared.limits.idle_seconds)

    def data_received(self, data: bytes) -> None:
        """Parse what came; a head that stays incomplete counts as silence, and has a limit."""
        if self.transport.is_closing():
            return
        before = self.timeout_keep_alive_task
        began = before.when() if before is not None and self._head_bytes else None
        super().data_received(data)
        if self.transport.is_closing() or not self.idle or self.parser is None:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > self.shared.limits.head_bytes:
            told = f"The head of the request is longer than {self.shared.limits.head_bytes} bytes."
            self._refuse(failure(431, "BAD_REQUEST", told, CLOSE))
        elif self.timeout_keep_alive_task is None:
            read = self.shared.limits.read_seconds
            self._limit_the_silence(read if began is None else max(began - self.loop.time(), 0.0))

    def on_headers_complete(self) -> None:
        """Its head is here, and what follows counts anew."""
        self._head_bytes = 0
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header, up to a number of them."""
        super().on_header(name, value)
        if len(self.headers) > MOST_HEADERS:
            self._refusal = failure(431, "BAD_REQUEST", f"The request has more than {MOST_HEADERS} headers.", CLOSE)
            raise ValueError("too many headers")

    def timeout_keep_alive_handler(self) -> None:
        """Close, unless a request has just arrived that the loop has not read yet."""
        self.timeout_keep_alive_task = None
        if self._head_bytes:
            self._refuse(failure(408, "BAD_REQUEST", "The request did not come whole in time.", CLOSE))
        elif self.has_unread_bytes():
            self._limit_the_silence(1.0)
        elif not self.transport.is_closing():
            self.transport.close()

    def pause_writing(self) -> None:
        """The client does not read: it has a while to begin to."""
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(self.shared.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._read_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._read_again()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered here."""
        # uvicorn has no cycle before the first request, and does not say so in its types
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def leave(self) -> None:
        """Make the answer under way, if any, the last of this connection."""
        if not self.idle and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def close_if_idle(self) -> None:
        """Close, unless a request is being answered or has just arrived."""
        if self.idle and not self._head_bytes and not self.transport.is_closing() and not self.has_unread_bytes():
            self.transport.close()

    def has_unread_bytes(self) -> bool:
        """Whether the kernel holds bytes of this connection that the loop has not seen."""
        told = self.transport.get_extra_info("socket")
        if told is None or self.transport.is_closing():
            return False
        with socket.socket(fileno=os.dup(told.fileno())) as same:
            try:
                return bool(same.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
            except OSError:
                return False

    def send_400_response(self, msg: str) -> None:
        """Say in MLflow's form that this was not HTTP, with the headers every answer carries."""
        self._refuse(self._refusal or failure(400, "BAD_REQUEST", msg, CLOSE))

    def _refuse(self, answer: Answer) -> None:
        shared = self.shared
        answer.identity = shared.identity
        request = Request(b"", b"", b"", [], b"", id=shared.fresh_id(), began=monotonic())
        if shared.refused is not None:
            shared.refused(request, answer)
        if shared.access is not None:
            shared.access.add(request, answer, _named(self.client))
        self.transport.write(rendered(answer, request.id, shared.date, kept=False, is_old=False, bodiless=False))
        self.transport.close()

    def _read_again(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _limit_the_silence(self, seconds: float) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)


class UvicornConnections:
    """All client connections of one worker: what `Connections` is, on uvicorn."""

    def __init__(
        self,
        app: App,
        limits: Limits,
        *,
        home: str = "",
        identity: bytes = b"",
        give: Give | None = None,
        access: AccessLog | None = None,
        refused: Refused | None = None,
    ) -> None:
        self._shared = Shared(app, limits, home, identity, give, access, refused)
        self._config = Config(
            AsgiApp(self._shared),
            http=UvicornConnection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=cast(int, limits.idle_seconds),  # it is only ever given to call_later
        )
        self._config.load()
        self._state = ServerState()
        self._kind = type("SharingConnection", (UvicornConnection,), {"shared": self._shared})
        self._adopting: set[asyncio.Task[None]] = set()

    def __call__(self) -> asyncio.Protocol:
        """The protocol of one new connection."""
        return self._made({})

    def __len__(self) -> int:
        return len(self._state.connections) + len(self._adopting)

    @property
    def busy(self) -> int:
        """How many connections have a request under way."""
        return sum(not connection.idle for connection in self._all()) + len(self._adopting)

    def adopt(self, connection: socket.socket, raw: bytes, home: str, switches: int) -> None:
        """Go on with a connection that another worker gave: `raw` was read from it already and not answered."""
        connection.setblocking(False)
        loop = asyncio.get_running_loop()

        async def take() -> None:
            try:
                told = {"adopted": raw, "home": home, "switches": switches}
                await loop.connect_accepted_socket(lambda: self._made(told), connection)
            except OSError as error:
                _log.warning("a connection was gone before it could be taken over: %s", error)
                connection.close()

        task = loop.create_task(take())
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    def leave(self) -> None:
        """Make the next answer of every connection its last."""
        self._shared.leaving = True
        for connection in self._all():
            connection.leave()

    def stay(self) -> None:
        """Take `leave` and `give_all` back."""
        self._shared.leaving = False

    def close_idle(self) -> None:
        """Close every connection on which nothing is going on."""
        for connection in self._all():
            connection.close_if_idle()

    def give_all(self, choose: Callable[[], Path | None]) -> None:  # noqa: ARG002 - nobody is given anything
        """Make the next answer of every connection its last: uvicorn's cannot be given away."""
        self.leave()

    def _made(self, told: dict[str, Any]) -> asyncio.Protocol:
        self._shared.date = date_line()
        return cast(asyncio.Protocol, self._kind(config=self._config, server_state=self._state, app_state=told))

    def _all(self) -> list[UvicornConnection]:
        return cast(list[UvicornConnection], list(self._state.connections))


def _pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b": ")
    return name, value


def _named(client: tuple[str, int] | None) -> str:
    return f"{client[0]}:{client[1]}" if client else "unix"
