"""Opens the database: SQLite in a file of the owner's own, or PostgreSQL."""

from __future__ import annotations

import contextlib
import math
import os
import select
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, InvalidatePoolError, NoSuchModuleError

from lockgate.adapters.sql.dialects import BEGIN, READING, WRITING
from lockgate.domain.errors import BadInput, Unavailable

BUSY_SECONDS = 20
IDLE_SECONDS = 60
CONNECT_SECONDS = 5
RESTED_SECONDS = 5
_RESTS_SINCE = "lockgate_rests_since"
FORMS = (
    "Write sqlite:///PATH (four slashes for an absolute path) or postgresql://USER:PASSWORD@HOST:PORT/NAME; "
    "in a password %40 stands for @ and %2F for /."
)


def make_engine(uri: str) -> Engine:
    """Open the database that `uri` names. A new SQLite file is its owner's alone; an adopted one is left as it is.

    The engine may be used from any thread. Raises BadInput for a URI of another kind, Unavailable when the file cannot
    be made.
    """
    url = read_address(uri)
    return _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)


def read_address(uri: str) -> URL:
    """What the URI of an SQLite or PostgreSQL database says. Raises BadInput for any other text, without showing it."""
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError
        # where its password begins and ends is what could not be read
        raise BadInput("What --database (or LOCKGATE_DATABASE) says is no database URI.", hint=FORMS) from None
    with contextlib.suppress(NoSuchModuleError):
        if (url.get_backend_name(), url.get_dialect().driver) in (("sqlite", "pysqlite"), ("postgresql", "psycopg")):
            return url
    raise BadInput(f"Lockgate does not speak to {url.drivername!r} databases.", hint=FORMS)


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database.startswith((":", "file:")):
        raise BadInput("Lockgate's SQLite database is a file.", hint=FORMS)
    path = Path(url.database).absolute()
    try:
        _create(path)
    except (OSError, sqlite3.Error) as e:
        raise Unavailable(
            f"The database {path} cannot be opened: {e}.", hint="Look at the folder's permissions and free space."
        ) from e
    # enough for every thread of a server; one that waits longer than a busy database may take is told so
    engine = create_engine(url.set(database=str(path)), pool_size=8, max_overflow=56, pool_timeout=BUSY_SECONDS)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _postgresql(url: URL) -> Engine:
    told = connecting(url)
    try:
        engine = create_engine(
            url, pool_size=5, max_overflow=15, pool_timeout=BUSY_SECONDS, pool_use_lifo=True, connect_args=told
        )
    except ModuleNotFoundError as e:
        raise Unavailable(f"PostgreSQL needs a driver: {e}.", hint="pip install 'psycopg[binary]'") from e
    event.listen(engine, "connect", with_limits)
    _ask_those_that_rested(engine)
    return engine


def _ask_those_that_rested(engine: Engine) -> None:
    """Ask a connection whether it still stands before it is used, when it rested for a while or somebody ended it.

    One that does not is replaced, and all others of its age with it.
    """

    def rests(_driver: object, record: Any) -> None:
        record.info[_RESTS_SINCE] = time.monotonic()

    def is_taken(driver: Any, record: Any, _proxy: object) -> None:
        rested = time.monotonic() - record.info.get(_RESTS_SINCE, math.inf)
        try:
            if rested >= RESTED_SECONDS or _has_something_to_say(driver):
                engine.dialect.do_ping(driver)
        except engine.dialect.loaded_dbapi.Error as gone:
            raise InvalidatePoolError("the connection is gone") from gone

    event.listen(engine, "checkin", rests)
    event.listen(engine, "checkout", is_taken)


def _has_something_to_say(driver: Any) -> bool:
    """Whether the server sent anything unasked: mostly that it ends the connection. Costs no way to the server."""
    ear = select.poll()
    ear.register(driver.fileno(), select.POLLIN)
    return bool(ear.poll(0))


def connecting(url: URL) -> dict[str, Any]:
    """How a connection to PostgreSQL is made and watched, as far as the address does not say it itself: a server that
    is gone without a word is noticed within half a minute.
    """
    told = {
        "connect_timeout": CONNECT_SECONDS,
        "fallback_application_name": "lockgate",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 4,
        "tcp_user_timeout": 30_000,
    }
    return {name: value for name, value in told.items() if name not in url.query}


def with_limits(driver: Any, _record: object) -> None:
    """Give a new connection to PostgreSQL the limits that a transaction has: a pool calls this for each.

    Waiting for a row ends after `BUSY_SECONDS`, and a process that stands still does not hold its rows for ever. Our
    statements touch few rows: compiling one to machine code takes longer than running it a thousand times.
    """
    # by statements: what stands between us and a server may refuse settings that come with the connection
    before, driver.autocommit = driver.autocommit, True
    driver.execute(f"SET lock_timeout = {round(BUSY_SECONDS * 1000)}")
    driver.execute(f"SET idle_in_transaction_session_timeout = {round(IDLE_SECONDS * 1000)}")
    driver.execute("SET jit = off")
    driver.autocommit = before


def _create(path: Path) -> None:
    """Make the folder and the file if they are missing, and give a new or empty file the write-ahead log."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if path.stat().st_size:
        return
    give_up = time.monotonic() + BUSY_SECONDS
    with closing(sqlite3.connect(path, isolation_level=None)) as fresh:
        while True:
            try:
                fresh.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                # another process is at the same first start, and SQLite does not wait for this lock by itself
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.01)


def _on_connect(driver: Any, _record: object) -> None:
    # the driver begins no transaction by itself: `_on_begin` says which kind it is
    driver.isolation_level = None
    cursor = driver.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    """A writer takes the lock at once: one that began as a reader would be refused when somebody wrote meanwhile."""
    mode = connection.get_execution_options().get(BEGIN)
    query_only = "ON" if mode == READING else "OFF"
    if connection.info.get("query_only") != query_only:  # it stays as it is for the life of the driver's connection
        connection.exec_driver_sql(f"PRAGMA query_only = {query_only}")
        connection.info["query_only"] = query_only
    connection.exec_driver_sql("BEGIN IMMEDIATE" if mode == WRITING else "BEGIN")
