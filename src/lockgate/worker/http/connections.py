"""All client connections of one worker: made, counted, taken over, given away, ended."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from lockgate.worker.http.access import AccessLog
from lockgate.worker.http.answers import date_line
from lockgate.worker.http.connection import Connection
from lockgate.worker.http.limits import Limits
from lockgate.worker.http.messages import App
from lockgate.worker.http.shared import Give, Refused, Shared

_log = logging.getLogger("lockgate.worker")
_LOOK_EVERY = 0.5


class Connections:
    """The protocol factory of a worker's listening socket, for the running loop's thread alone.

    `home` is the endpoint that a client of this socket asks for, `identity` the header lines of what the edge refuses
    itself. With no `give` connections cannot be handed on, and requests have no `link`.
    """

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
        self._timer: asyncio.TimerHandle | None = None
        self._adopting: set[asyncio.Task[None]] = set()

    def __call__(self) -> asyncio.Protocol:
        """The protocol of one new connection."""
        self._watch()
        return Connection(self._shared)

    def __len__(self) -> int:
        return len(self._shared.open) + len(self._adopting)

    @property
    def busy(self) -> int:
        """How many connections have a request under way, or an answer that is not written yet."""
        return sum(connection.is_busy for connection in self._shared.open) + len(self._adopting)

    def adopt(self, connection: socket.socket, raw: bytes, home: str, switches: int) -> None:
        """Go on with a connection that another worker gave: `raw` was read from it already and not answered.

        The socket is ours from here on. It is taken even when there are too many: it has been let in before.
        """
        connection.setblocking(False)
        loop = asyncio.get_running_loop()

        def made() -> Connection:
            return Connection(self._shared, raw, home, switches)

        async def take() -> None:
            try:
                await loop.connect_accepted_socket(made, connection)
            except OSError as error:
                _log.warning("a connection was gone before it could be taken over: %s", error)
                connection.close()

        self._watch()
        task = loop.create_task(take())
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    def leave(self) -> None:
        """Make the next answer of every connection its last."""
        self._shared.leaving = True
        for connection in self._shared.open:
            connection.leaving = True

    def stay(self) -> None:
        """Take `leave` and `give_all` back."""
        self._shared.leaving = False
        self._shared.choose = None
        for connection in self._shared.open:
            connection.leaving = False

    def close_idle(self) -> None:
        """Close every connection on which nothing is going on."""
        for connection in list(self._shared.open):
            connection.close_if_idle()

    def give_all(self, choose: Callable[[], Path | None]) -> None:
        """Give every connection to the worker of the folder that `choose` names at that moment.

        Idle ones and those whose request is still coming go at once, the others after their answer. What cannot be
        given (TLS, nobody takes it) stays, and is closed by its next answer.
        """
        self._shared.choose = choose
        for connection in list(self._shared.open):
            connection.offer()

    def _watch(self) -> None:
        if self._timer is None:
            limits = self._shared.limits
            shortest = min(limits.read_seconds, limits.idle_seconds, limits.write_seconds)
            self._shared.date = date_line()
            self._timer = asyncio.get_running_loop().call_later(min(_LOOK_EVERY, shortest / 4), self._look)

    def _look(self) -> None:
        self._timer = None
        now = monotonic()
        for connection in list(self._shared.open):
            connection.look_at(now)
        if len(self):
            self._watch()
