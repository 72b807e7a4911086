"""Whose turn it is to write: the threads of one process queue up here, in the order they came.

SQLite has one writer at a time and lets the others ask again and again, each after a longer pause: with sixteen
threads most of the time is spent asleep, and whoever came first may be served last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from lockgate.domain.errors import Unavailable


class Turns:
    """A lock that is handed from one thread to the one that has waited longest."""

    def __init__(self) -> None:
        self._inside = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Inside the block no other thread has its turn. Raises Unavailable when it does not come in that time."""
        if not self._take(seconds):
            raise Unavailable(
                f"The database is busy: others have been writing for {seconds:g} seconds.",
                hint="Try again in a moment.",
            )
        try:
            yield
        finally:
            self._give()

    def _take(self, seconds: float) -> bool:
        with self._inside:
            if not self._taken:
                self._taken = True
                return True
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=seconds):
            return True
        with self._inside:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return False
        return True  # it was handed over in the very moment of giving up

    def _give(self) -> None:
        with self._inside:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
