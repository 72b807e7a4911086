"""How several server processes share one listening socket: whoever has fewer connections takes the next one.

The kernel wakes all of them, and the same one may win again and again: connections are kept for long, so a process that
took seven of eight would leave another one's core idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, MutableSequence, Sequence, Sized

ABSENT = -1  # the count of a process that is not there, or cannot answer yet
PATIENCE = 0.005  # seconds that a busier process leaves a connection to the others
LOADING_PAUSE = 0.05  # seconds between two looks of one that cannot answer yet while others can
EXHAUSTED_PAUSE = 1.0  # seconds until it is tried again when no more files can be opened
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = logging.getLogger("lockgate.server")


class Share:
    """This process's part in a socket. `counts` is in memory that all of them share: one place, `slot`, is ours."""

    def __init__(self, counts: MutableSequence[int], slot: int, patience: float = PATIENCE) -> None:
        self._counts = counts
        self._slot = slot
        self._patience = patience
        self._is_ready = False
        self._beginning: set[asyncio.Task[None]] = set()  # accepted, and not yet among the connections
        self._timer: asyncio.TimerHandle | None = None

    def open(self, listener: socket.socket, make: Callable[[], asyncio.Protocol], connections: Sized) -> None:
        """Begin to accept in the running loop. `connections` are those this process has."""
        listener.setblocking(False)
        self._listener, self._make, self._connections = listener, make, connections
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listener, self._knocked)

    def ready(self) -> None:
        """From now on this process can answer, and counts."""
        self._is_ready = True
        self.publish()

    def publish(self) -> None:
        """Let the others know how many connections there are here."""
        self._counts[self._slot] = self._mine() if self._is_ready else ABSENT

    def close(self) -> None:
        """Accept nothing more."""
        self._counts[self._slot] = ABSENT
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Nothing is left to wait for."""

    def _mine(self) -> int:
        return len(self._connections) + len(self._beginning)

    def _knocked(self) -> None:
        self.publish()
        if not leaves_it(self._counts, self._slot, self._mine(), is_ready=self._is_ready):
            self._take()
        elif self._is_ready:
            self._pause(self._patience, self._take)
        else:
            self._pause(LOADING_PAUSE, lambda: None)

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        """Look away for a while: the socket stays readable until somebody takes what waits there."""

        def again() -> None:
            self._timer = None
            self._loop.add_reader(self._listener, self._knocked)
            then()

        self._loop.remove_reader(self._listener)
        self._timer = self._loop.call_later(seconds, again)

    def _take(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the client has gone
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            log.error("a connection cannot be accepted: %s", error)
            self._pause(EXHAUSTED_PAUSE, lambda: None)
            return
        accepted.setblocking(False)
        with contextlib.suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._begin(accepted))
        self._beginning.add(task)
        task.add_done_callback(self._begun)
        self.publish()

    def _begun(self, task: asyncio.Task[None]) -> None:
        self._beginning.discard(task)
        self.publish()

    async def _begin(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, accepted)
        except OSError:
            accepted.close()


def leaves_it(counts: Sequence[int], slot: int, mine: int, *, is_ready: bool) -> bool:
    """Whether a new connection is for another process: one that can answer while we cannot, or one with fewer."""
    others = [count for place, count in enumerate(counts) if place != slot and count != ABSENT]
    if not is_ready:
        return bool(others)
    return bool(others) and mine > min(others)
