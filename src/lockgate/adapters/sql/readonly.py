"""Opens a database so that nothing can be changed by looking at it: not the file, not its folder, not a row."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from lockgate.adapters.sql.engine import FORMS, read_address
from lockgate.adapters.sql.troubles import explained
from lockgate.domain.errors import BadInput, NotFound, Unavailable

_WAIT_SECONDS = 5
_HEADER = b"SQLite format 3\x00"


def parse(uri: str) -> URL:
    """The address of an SQLite file or a PostgreSQL database. Raises BadInput for anything else."""
    url = read_address(uri)
    if url.get_backend_name() == "sqlite" and (not url.database or url.database.startswith((":", "file:"))):
        raise BadInput("Lockgate's SQLite database is a file.", hint=FORMS)
    return url


def address(url: URL) -> str:
    """The address as it may be shown and copied: without the password."""
    return url.render_as_string(hide_password=True)


@contextlib.contextmanager
def reading(url: URL) -> Iterator[Connection]:
    """One transaction that sees one moment and cannot write; on SQLite it leaves no file behind either.

    Raises NotFound when there is no such file, Unavailable when the database cannot be read.
    """
    with contextlib.ExitStack() as inside:
        if url.get_backend_name() == "sqlite":
            engine = inside.enter_context(_sqlite(Path(url.database or "").absolute()))
        else:
            engine = _postgresql(url)
        inside.callback(engine.dispose)
        inside.enter_context(explained())
        connection = inside.enter_context(engine.connect())
        inside.enter_context(connection.begin())
        yield connection


def journal_mode(path: Path) -> str:
    """How the file keeps its journal, as its header says: `wal` or `rollback journal`; empty for an empty file."""
    with path.open("rb") as file:
        header = file.read(20)
    if not header:
        return ""
    return "wal" if header[18:20] == b"\x02\x02" else "rollback journal"


def _postgresql(url: URL) -> Engine:
    options = {"connect_timeout": _WAIT_SECONDS, "options": "-c default_transaction_read_only=on"}
    try:
        engine = create_engine(url, poolclass=NullPool, connect_args=options)
    except ModuleNotFoundError as e:
        raise Unavailable(f"PostgreSQL needs a driver: {e}.", hint="pip install 'psycopg[binary]'") from e
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


@contextlib.contextmanager
def _sqlite(path: Path) -> Iterator[Engine]:
    _look_at_the_file(path)
    with contextlib.ExitStack() as inside:
        target, how = path, "mode=ro"
        log = path.with_name(path.name + "-wal")
        if journal_mode(path) == "wal":
            if not (log.exists() and log.stat().st_size):
                # nobody has it open: a reader in the ordinary way would make two files beside it and leave them
                how = "mode=ro&immutable=1"
            elif not path.with_name(path.name + "-shm").exists():
                # left by a machine that went down; what the log holds is only seen by opening it, which makes a file
                target = inside.enter_context(_copied(path, log))

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(
                f"file:{quote(str(target))}?{how}",
                uri=True,
                timeout=_WAIT_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )

        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
        event.listen(engine, "begin", _begin)
        yield engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("PRAGMA query_only = ON")
    connection.exec_driver_sql("BEGIN")


def _look_at_the_file(path: Path) -> None:
    if not path.exists():
        raise NotFound(f"There is no file {path}.", hint="Look at --database: four slashes begin an absolute path.")
    if not path.is_file():
        raise BadInput(f"{path} is a folder, not a database file.", hint=FORMS)
    try:
        with path.open("rb") as file:
            header = file.read(16)
    except OSError as error:
        raise Unavailable(
            f"The database {path} cannot be read: {error.strerror}.", hint="Look at the file's permissions."
        ) from None
    if header and header != _HEADER:
        raise BadInput(f"{path} is not an SQLite database.", hint="Name another file with --database.")
    if not os.access(path.parent, os.X_OK):
        raise Unavailable(f"The folder {path.parent} may not be entered.", hint="Look at its permissions.")


@contextlib.contextmanager
def _copied(path: Path, log: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lockgate-doctor-") as folder:
        target = Path(folder) / path.name
        shutil.copyfile(path, target)
        shutil.copyfile(log, target.with_name(target.name + "-wal"))
        yield target


def driver_version(connection: Connection) -> str:
    """The database's own version, as it calls itself."""
    told: Any = connection.dialect.server_version_info or ()
    return ".".join(str(part) for part in told)
