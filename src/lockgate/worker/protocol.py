"""uvicorn's HTTP/1.1 protocol with what a worker adds: limits on silence, and leaving without cutting anyone off."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from lockgate.worker.scoring import failure


class Connection(HttpToolsProtocol):
    """One client connection."""

    identity: Sequence[tuple[bytes, bytes]] = ()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that never asks anything is closed like one that asks nothing more."""
        super().connection_made(transport)
        self._limit_the_silence()

    def data_received(self, data: bytes) -> None:
        """Parse what came; a head that stays incomplete counts as silence."""
        super().data_received(data)
        if self.idle and self.timeout_keep_alive_task is None:
            self._limit_the_silence()

    def timeout_keep_alive_handler(self) -> None:
        """Close, unless a request has just arrived that the loop has not read yet."""
        if self.has_unread_bytes():
            self._limit_the_silence()
        else:
            super().timeout_keep_alive_handler()

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
        if self.idle and not self.transport.is_closing() and not self.has_unread_bytes():
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
        answer = failure(400, "BAD_REQUEST", msg)
        head = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in self.identity)]
        head += [b"content-type: application/json", b"content-length: " + str(len(answer.body)).encode()]
        self.transport.write(b"\r\n".join([*head, b"connection: close", b"", answer.body]))
        self.transport.close()

    def _limit_the_silence(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)


class Connections:
    """All client connections of one worker."""

    def __init__(self, app: Any, *, keep_alive_seconds: float, identity: Sequence[tuple[bytes, bytes]]) -> None:
        self._config = Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=cast(int, keep_alive_seconds),  # it is only ever given to call_later
        )
        self._config.load()
        self._state = ServerState()
        self._kind = type("IdentifiedConnection", (Connection,), {"identity": identity})

    def __call__(self) -> asyncio.Protocol:
        """The protocol of one new connection."""
        return cast(asyncio.Protocol, self._kind(config=self._config, server_state=self._state, app_state={}))

    def __len__(self) -> int:
        return len(self._state.connections)

    @property
    def busy(self) -> int:
        """How many connections have a request under way."""
        return sum(not connection.idle for connection in self._all())

    def leave(self) -> None:
        """Make every answer under way the last of its connection."""
        for connection in self._all():
            connection.leave()

    def close_idle(self) -> None:
        """Close every connection on which nothing is going on."""
        for connection in self._all():
            connection.close_if_idle()

    def _all(self) -> list[Connection]:
        return cast(list[Connection], list(self._state.connections))
