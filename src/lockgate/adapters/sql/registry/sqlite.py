"""Reads of an SQLite file: light ones at once in the event loop, everything else in threads."""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread

from lockgate.adapters.sql.engine import BUSY_SECONDS
from lockgate.adapters.sql.registry.reads import Query, RegistryReads, Rows, Steps, T
from lockgate.adapters.sql.troubles import unavailable
from lockgate.domain.errors import BadInput, Unavailable

THREADS = 8
_WAITING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_CACHE_KIB = 8192


class SqliteReader:
    """Carries reads out. No transaction is ever left open, so each statement sees what was committed before it."""

    dialect = "sqlite"
    reads = RegistryReads(sqlite=True)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loops: sqlite3.Connection | None = None  # the event loop's own
        self._free: queue.LifoQueue[sqlite3.Connection | None] = queue.LifoQueue()
        for _ in range(THREADS):
            self._free.put(None)

    def run(self, steps: Steps[T]) -> T:
        """Carry a read out in this thread. Raises Unavailable when the file cannot be read."""
        try:
            asked = next(steps)
            while True:
                asked = steps.send(self._fetch(asked))
        except StopIteration as done:
            result: T = done.value
            return result

    async def answer(self, steps: Steps[T]) -> T:
        """Carry a read out without keeping the event loop from its other work. Raises as `run`."""
        try:
            asked = next(steps)
            while True:
                rows = self._at_once(asked) if asked.light else None
                if rows is None:
                    rows = await anyio.to_thread.run_sync(self._fetch, asked)
                asked = steps.send(rows)
        except StopIteration as done:
            result: T = done.value
            return result

    def close(self) -> None:
        """Give all connections back; another read opens them again."""
        for connection in [self._free.get_nowait() for _ in range(self._free.qsize())]:
            if connection is not None:
                connection.close()
            self._free.put(None)
        if self._loops is not None:
            self._loops.close()
            self._loops = None

    def _at_once(self, asked: Query) -> Rows | None:
        """The rows, or None when a writer has the file for a moment: a file without a write-ahead log knows that."""
        with _explained():
            try:
                if self._loops is None:
                    self._loops = _open(self._path, wait_seconds=0)
                return self._loops.execute(asked.statement.sql, asked.values).fetchall()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF in _WAITING:
                    return None
                raise

    def _fetch(self, asked: Query) -> Rows:
        with _explained(), self._connection() as connection:
            return connection.execute(asked.statement.sql, asked.values).fetchall()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._free.get(timeout=BUSY_SECONDS)
        except queue.Empty:
            raise Unavailable("Every connection to the database is taken.", hint="Try again in a moment.") from None
        try:
            if connection is None:
                connection = _open(self._path, wait_seconds=BUSY_SECONDS)
            yield connection
        finally:
            self._free.put(connection)


def _open(path: Path, *, wait_seconds: float) -> sqlite3.Connection:
    # the pool gives a connection to one thread at a time
    connection = sqlite3.connect(path, timeout=wait_seconds, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA case_sensitive_like = ON")  # as MLflow sets it
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError:
        said = "The request holds text that is no Unicode."
        raise BadInput(said, hint="Send UTF-8 without lone surrogates.") from None
    except sqlite3.Error as error:
        known = unavailable(error, away=isinstance(error, sqlite3.OperationalError))
        if known is None:
            raise
        raise known from error
