"""Whether anything was committed since: what lets a loop that finds nothing to do ask for less than it looks for."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from lockgate.adapters.sql.dialects import is_sqlite

SHARED_SECONDS = 0.02
# the mark says it; this is for a database whose mark would not
LONGEST_SECONDS = 5.0

_SNAPSHOT = text("SELECT pg_current_snapshot()::text")


class Marks:
    """`now` is another value whenever another transaction was committed, as far as a new one could see it.

    On SQLite that is `PRAGMA data_version` of one connection, which changes with what others commit; on PostgreSQL the
    snapshot, which changes when any writer of the server begins or ends. There it costs a question over the network, so
    a mark may be `SHARED_SECONDS` old: that is how much later a change is seen. Use it from any thread.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._driver: Any = None
        self._last: object = None
        self._shared = 0.0 if is_sqlite(engine) else SHARED_SECONDS
        self._asked_at = -SHARED_SECONDS

    def now(self) -> object:
        """The mark of this moment; one that equals no other where the database does not say."""
        with self._lock:
            if time.monotonic() - self._asked_at >= self._shared:
                # before it is asked: what is committed meanwhile belongs to the next one
                self._asked_at = time.monotonic()
                self._last = self._asked()
            return self._last

    def _asked(self) -> object:
        try:
            if not is_sqlite(self._engine):
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    return connection.execute(_SNAPSHOT).scalar()
            if self._driver is None:
                self._driver = sqlite3.connect(
                    f"file:{self._engine.url.database}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
                )
            return self._driver.execute("PRAGMA data_version").fetchone()[0]
        except (SQLAlchemyError, sqlite3.Error):
            if self._driver is not None:
                self._driver.close()
                self._driver = None
            return object()  # whoever asks next finds the trouble himself


class Rest:
    """Remembers that there was nothing to do: until something is committed, or until it may be due.

    `marks` None: it never rests, as where time is an argument.
    """

    def __init__(self, marks: Marks | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._marks = marks
        self._clock = clock
        self._rests: tuple[object, float] = (None, 0.0)

    def mark(self) -> object:
        """To be asked before one looks."""
        return self._marks.now() if self._marks is not None else None

    def begin(self, mark: object, seconds: float = LONGEST_SECONDS) -> None:
        """There was nothing to do, and without a change there is nothing for so many seconds."""
        self._rests = (mark, self._clock() + min(seconds, LONGEST_SECONDS))

    def end(self) -> None:
        """Look again, whatever the mark says."""
        self._rests = (None, 0.0)

    def holds(self) -> bool:
        """Whether that is still so."""
        mark, until = self._rests
        return self._marks is not None and self._clock() < until and self._marks.now() == mark
