"""Runs the server: opens the port, serves until it is told to stop, and says why when it could not start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from lockgate.domain.errors import Conflict, LockgateError
from lockgate.server import counting, jobs, logs
from lockgate.server.accepting import Share
from lockgate.server.arrival import Openings, Proxies
from lockgate.server.front import Front
from lockgate.server.replies import App

if TYPE_CHECKING:
    from lockgate.config import Settings

BACKLOG = 2048
KEEP_ALIVE = 75  # seconds; clients keep their connections for a minute
GRACE = 10  # seconds for requests under way when the server is told to stop
# by it MLflow's assistant tells the containers of this server from those that an earlier one left behind
BOOT = "_MLFLOW_SERVER_BOOT_ID"

log = logging.getLogger("lockgate.server")


class Server(uvicorn.Server):
    """uvicorn's server, whose stop is no accident: a signal ends it with exit code 0.

    With a `share` it accepts no more than its share of the connections.
    """

    def __init__(self, config: uvicorn.Config, share: Share | None = None) -> None:
        super().__init__(config)
        self._share = share

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, on a socket of our own or on one that is shared."""
        if self._share is None or not sockets:
            await super().startup(sockets)
            return
        await super().startup([])
        kind = _counted(self.config.http_protocol_class, self._share)
        state, lifespan = self.server_state, self.lifespan.state
        make = partial(kind, config=self.config, server_state=state, app_state=lifespan)
        self._share.open(sockets[0], make, state.connections)
        # it is closed, and waited for, like a server of the loop's
        self.servers.append(cast(asyncio.Server, self._share))

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self._share is not None:
            self._share.publish()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully on TERM and INT, without raising the signal again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def serve(
    settings: Settings,
    *,
    opened: Callable[[int], None] = lambda _port: None,
    first: Callable[[], None] = lambda: None,
) -> None:
    """Serve until TERM or INT. `opened` hears the port as soon as connections are accepted.

    `first` is done once the socket is open and before anything behind it is loaded.

    Raises Conflict when the port is taken, Unavailable (or the error itself) when what is behind it cannot be loaded.
    """
    logs.speak()
    os.environ[BOOT] = uuid.uuid4().hex
    listener = listen(settings.host, settings.port)
    with contextlib.closing(listener), jobs.runner(settings):
        opened(listener.getsockname()[1])
        if settings.workers > 1:
            from lockgate.server.workers import run_all

            first()
            run_all(settings, listener)
        else:
            run(settings, listener, first=first)


def run(
    settings: Settings,
    listener: socket.socket,
    *,
    first: Callable[[], None] = lambda: None,
    share: Share | None = None,
) -> None:
    """One server process on a socket that is open already, and perhaps shared. Raises as `serve`."""

    def build() -> App:
        logs.configure()
        first()
        from lockgate.server.app import build as build_app

        return build_app(settings)

    doors = Openings(
        hosts=(settings.host, *settings.allowed_hosts),
        origins=settings.allowed_origins,
        proxies=Proxies.of(settings.trusted_proxies),
    )
    try:
        run_front(build, listener, doors, share=share)
    finally:
        counting.stop()


def run_front(
    build: Callable[[], App], listener: socket.socket, doors: Openings, *, share: Share | None = None
) -> None:
    """Serve what `build` makes, behind the front. Raises Unavailable with the reason when it could not be made."""
    reasons: list[LockgateError] = []

    def failed(error: LockgateError) -> None:
        reasons.append(error)
        server.should_exit = True

    def ready() -> None:
        log.info("ready on port %s", listener.getsockname()[1])
        if share is not None:
            share.ready()

    server = Server(_config(Front(build, failed, doors, ready=ready)), share)
    server.run(sockets=[listener])
    if reasons:
        raise reasons[0]


def listen(host: str, port: int) -> socket.socket:
    """The listening socket (port 0: any free one). Raises Conflict when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Conflict(
            f"Port {port} on {host} cannot be opened: {error.strerror or error}.",
            hint="Stop what holds it, or choose another one with --port.",
        ) from None
    listener.set_inheritable(True)
    return listener


def _counted(protocol: Any, share: Share) -> Callable[..., asyncio.Protocol]:
    """uvicorn's protocol, whose connections are missed as soon as they end."""

    class Counted(protocol):  # type: ignore[misc]
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            share.publish()

    return Counted


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        # the front reads what trusted proxies say, and refuses what others do
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
