"""Whose turn it is to write: threads queue up here in the order they came, and processes take turns.

SQLite has one writer at a time and lets the others ask again and again, each after a longer pause: with sixteen
threads most of the time is spent asleep, and whoever came first may be served last. A process whose threads write one
after the other would leave another one asleep all the while.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from lockgate.domain.errors import Unavailable

PAUSE = 0.0002  # seconds between two looks whether another process is through
_TAKEN = frozenset({errno.EACCES, errno.EAGAIN})
_NEXT, _NOW = 0, 1  # bytes of the file: who comes next, and who writes


class Turns:
    """A lock that is handed from one thread to the one that has waited longest.

    With a `file` the processes that name the same one take turns as well: whoever waits for the one that writes has
    the next turn. It is there for fairness only, and SQLite's own lock keeps the writers apart. What a process has of
    it ends with the process.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._inside = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()
        self._file = file
        self._opened: int | None = None

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Inside the block no other thread has its turn. Raises Unavailable when it does not come in that time."""
        give_up = time.monotonic() + seconds
        if not self._take(seconds):
            raise _busy(seconds)
        try:
            with self._among_processes(give_up, seconds):
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

    @contextmanager
    def _among_processes(self, give_up: float, seconds: float) -> Iterator[None]:
        file = self._open()
        if file is None:
            yield
            return
        try:
            if not (_lock(file, _NEXT, give_up) and _lock(file, _NOW, give_up)):
                raise _busy(seconds)
            _unlock(file, _NEXT, 1)
            yield
        finally:
            _unlock(file, _NEXT, 2)

    def _open(self) -> int | None:
        if self._opened is None and self._file is not None:
            try:
                self._opened = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError:
                self._file = None  # no such folder, or one that is not ours: turns among threads will do
            else:
                weakref.finalize(self, os.close, self._opened)
        return self._opened


def _lock(file: int, place: int, give_up: float) -> bool:
    # the system's own way to wait has no limit
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            if error.errno not in _TAKEN:
                return True  # a file system that knows no locks
        else:
            return True
        if time.monotonic() > give_up:
            return False
        time.sleep(PAUSE)


def _unlock(file: int, place: int, many: int) -> None:
    with contextlib.suppress(OSError):  # as above
        fcntl.lockf(file, fcntl.LOCK_UN, many, place)


def _busy(seconds: float) -> Unavailable:
    return Unavailable(
        f"The database is busy: others have been writing for {seconds:g} seconds.", hint="Try again in a moment."
    )
