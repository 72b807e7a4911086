"""The ways by which requests reach one worker: the shared port, other workers' connections, and their requests."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lockgate.wire.workers import FORWARD_SOCKET, WorkerConfig
from lockgate.worker.handing import Giver, Taker
from lockgate.worker.http.access import AccessLog
from lockgate.worker.http.connections import Connections
from lockgate.worker.http.limits import Limits, make_room
from lockgate.worker.http.messages import Answer, App, Request
from lockgate.worker.http.tls import server_context
from lockgate.worker.local_sockets import bound
from lockgate.worker.observing.observer import Observer

if TYPE_CHECKING:
    from lockgate.worker.http.asgi import UvicornConnections

_BACKLOG = 4096
_HANDSHAKE_SECONDS = 10.0


class Edges:
    """Everything of a worker that has connections. For the loop's thread alone.

    `app` answers clients, `passed_on` what other workers pass on. `identity` is the header lines of what is refused
    before it becomes a request.
    """

    def __init__(
        self, config: WorkerConfig, app: App, passed_on: App, observer: Observer, *, identity: bytes = b""
    ) -> None:
        self._config = config
        self._folder = Path(config.folder)
        self._tls: ssl.SSLContext | None = None
        self._giver = Giver()
        self._accepting: asyncio.Server | None = None
        self._passing: asyncio.Server | None = None

        def refused(request: Request, answer: Answer) -> None:
            observer.answered(request, answer, 0.0, invocation=False)

        self._access = AccessLog(_to_standard_output) if config.access_log else None
        # uvicorn keeps no bytes of a request; where the worker itself speaks TLS, the state of that cannot go along
        self._gives = config.edge != "uvicorn" and not config.tls_certificate
        self._clients = _kind_of(config)(
            app,
            Limits.of(config),
            home=config.endpoint,
            identity=identity,
            give=self._giver.give if self._gives else None,
            access=self._access,
            refused=refused,
        )
        self._workers = Connections(passed_on, Limits.of(config), home=config.endpoint, identity=identity)
        self._taker = Taker(self._folder, self._clients.adopt)

    def __len__(self) -> int:
        return len(self._clients) + self._workers.busy

    @property
    def busy(self) -> int:
        """How many connections have a request under way."""
        return self._clients.busy + self._workers.busy

    async def open(self) -> None:
        """Be there for other workers. Clients are not let in yet. Raises BadCertificate where TLS cannot be spoken."""
        if self._config.tls_certificate:
            self._tls = server_context(self._config.tls_certificate, self._config.tls_key)
        if self._gives:
            self._taker.open()
        make_room(Limits.of(self._config))
        listening = bound(self._folder, FORWARD_SOCKET, backlog=_BACKLOG)
        self._passing = await asyncio.get_running_loop().create_unix_server(self._workers, sock=listening)

    async def accept(self, listener: socket.socket) -> None:
        """Let clients in that come to `listener`, which stays the caller's."""
        self._clients.stay()
        if self._accepting is None:
            # a duplicate, because the loop closes what it is given and the owner may be asked for the listener later
            loop, shared = asyncio.get_running_loop(), listener.dup()
            self._accepting = await loop.create_server(
                self._clients,
                sock=shared,
                backlog=_BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls is not None else None,
            )

    def accept_no_more(self) -> None:
        """Leave the clients that wait at the shared port to the other workers."""
        if self._accepting is not None:
            self._accepting.close()
            self._accepting = None

    def give_all(self, to: Sequence[Path]) -> None:
        """Hand every client connection to the workers of these folders in turn, now or after its answer.

        One that cannot be handed over is closed by its next answer.
        """
        turns = _in_turn(to)

        def choose() -> Path | None:
            return next((folder for folder in (next(turns) for _ in to) if self._giver.may_try(folder)), None)

        self._clients.give_all(choose)

    def leave(self) -> None:
        """Make the next answer of every client its last."""
        self._clients.leave()

    def close_idle(self) -> None:
        """Close every connection on which nothing is going on."""
        self._clients.close_idle()

    def close(self) -> None:
        """Be there for other workers no more. Connections that were on their way here are taken first."""
        if self._gives:
            self._taker.close()
        if self._passing is not None:
            self._passing.close()
            self._passing = None
        if self._access is not None:
            self._access.flush()


def _kind_of(config: WorkerConfig) -> type[Connections | UvicornConnections]:
    if config.edge != "uvicorn":
        return Connections
    from lockgate.worker.http.asgi import UvicornConnections

    return UvicornConnections


def _in_turn(to: Sequence[Path]) -> Iterator[Path]:
    while True:
        yield from to


def _to_standard_output(lines: bytes) -> None:
    os.write(sys.stdout.fileno(), lines)
