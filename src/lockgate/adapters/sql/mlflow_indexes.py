"""Our indexes on MLflow's tables: all that Lockgate adds to them, and what makes each read cost what it returns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from lockgate.adapters.sql.dialects import is_sqlite, writer
from lockgate.adapters.sql.engine import BUSY_SECONDS
from lockgate.adapters.sql.troubles import explained
from lockgate.domain.errors import Unavailable

# words that a query must repeat as they stand: an index over a part of the rows is used for no other condition
LIVE = "current_stage != 'Deleted_Internal'"
NUMBERED = "version > 0"  # as every version is

_DEFINITIONS: Mapping[str, str] = {
    # a version's aliases, where a model has thousands
    "lockgate_aliases_by_version": "registered_model_aliases (workspace, name, version)",
    # the newest version of each stage
    "lockgate_versions_by_stage": "model_versions (workspace, name, current_stage, version)",
    # the pages of a search in MLflow's default order, over all models and within one. A deletion is an update, so
    # without the condition the deleted ones would lie in front of everything that is left. Only a search over all
    # models says the second condition: within one that has nearly all versions, PostgreSQL would take this index too
    "lockgate_versions_by_update": (
        f"model_versions (workspace, last_updated_time DESC, name, version DESC) WHERE {LIVE} AND {NUMBERED}"
    ),
    "lockgate_versions_of_model_by_update": (
        f"model_versions (workspace, name, last_updated_time DESC, version DESC) WHERE {LIVE}"
    ),
    # MLflow's page of a run asks which versions came of it. The run comes first: beginning with the workspace, it would
    # do for every question in PostgreSQL's eyes until that has counted the rows, and each would read all versions
    "lockgate_versions_by_run": "model_versions (run_id, workspace)",
    # MLflow's list of models, newest change first
    "lockgate_models_by_update": "registered_models (workspace, last_updated_time, name)",
}
_OTHERWISE_ON_POSTGRESQL: Mapping[str, str] = {
    # beginning as the primary key does, it would do as well for finding one version until the rows have been counted;
    # SQLite, which counts none, reads it from end to end when it begins with anything else
    "lockgate_versions_by_stage": "model_versions (current_stage, workspace, name, version)",
}
INDEXES: tuple[str, ...] = tuple(_DEFINITIONS)

_LOCK = 0x10C6A7F  # any number that nobody else takes; the migrations' is the one before
_PATIENCE = 600.0  # seconds another process may need to build them on a large registry
_PAUSE = 0.1
_ON_POSTGRESQL = text(
    "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "JOIN pg_class t ON t.oid = i.indrelid "
    "WHERE c.relname LIKE 'lockgate\\_%' AND i.indisvalid AND pg_table_is_visible(t.oid)"
)
_ON_SQLITE = text("SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'lockgate\\_%' ESCAPE '\\'")


def missing(engine: Engine) -> tuple[str, ...]:
    """The indexes that are not there, in the order they are built; one that was left half-built counts as missing.

    Changes nothing. Raises Unavailable when the database does not answer.
    """
    with explained(), engine.connect() as connection:
        return _missing(connection)


def absent(connection: Connection) -> tuple[str, ...]:
    """As `missing`, in a transaction that is open already."""
    return _missing(connection)


def ensure(engine: Engine) -> tuple[str, ...]:
    """Build what is missing; the names of what this call built. Any number of processes may call it at once.

    On PostgreSQL nobody waits to write meanwhile; on SQLite the file is locked while they are built. MLflow's tables
    must be there. Raises Unavailable when the database does not answer.
    """
    if not missing(engine):
        return ()
    if is_sqlite(engine):
        with explained(), writer(engine) as connection, connection.begin():
            return _build(connection, _missing(connection), "CREATE INDEX {} ON {}")
    with explained(), _alone(engine) as connection:
        absent = _missing(connection)
        # one that was left by an aborted build bears the name, and is never used
        _remove(connection, absent, "DROP INDEX CONCURRENTLY IF EXISTS {}")
        return _build(connection, absent, "CREATE INDEX CONCURRENTLY {} ON {}")


def drop(engine: Engine) -> tuple[str, ...]:
    """Leave MLflow's tables as they were without us; the names of the indexes dropped.

    Raises Unavailable when the database does not answer.
    """
    if is_sqlite(engine):
        with explained(), writer(engine) as connection, connection.begin():
            there = _there(connection)
            _remove(connection, there, "DROP INDEX IF EXISTS {}")
            return there
    with explained(), _alone(engine) as connection:
        there = _there(connection)
        _remove(connection, INDEXES, "DROP INDEX CONCURRENTLY IF EXISTS {}")
        return there


def _there(connection: Connection) -> tuple[str, ...]:
    found = set(connection.execute(_ON_SQLITE if is_sqlite(connection) else _ON_POSTGRESQL).scalars())
    return tuple(name for name in INDEXES if name in found)


def _missing(connection: Connection) -> tuple[str, ...]:
    there = _there(connection)
    return tuple(name for name in INDEXES if name not in there)


def _build(connection: Connection, names: Sequence[str], statement: str) -> tuple[str, ...]:
    definitions = _DEFINITIONS if is_sqlite(connection) else {**_DEFINITIONS, **_OTHERWISE_ON_POSTGRESQL}
    for name in names:
        connection.exec_driver_sql(statement.format(name, definitions[name]))
    return tuple(names)


def _remove(connection: Connection, names: Sequence[str], statement: str) -> None:
    for name in names:
        connection.exec_driver_sql(statement.format(name))


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A connection outside any transaction, which no other process has at the same time."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        give_up = time.monotonic() + _PATIENCE
        # asked for again and again: a session that stood waiting in the database would hold up the build it waits for
        while not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}).scalar():
            if time.monotonic() > give_up:
                raise Unavailable(
                    "Another process has been building Lockgate's indexes for ten minutes.",
                    hint="Look at pg_stat_progress_create_index, then try again.",
                )
            time.sleep(_PAUSE)
        try:
            # a build waits for every transaction that began before it
            connection.exec_driver_sql(f"SET lock_timeout = '{_PATIENCE:.0f}s'")
            yield connection
        finally:
            connection.exec_driver_sql(f"SET lock_timeout = '{BUSY_SECONDS}s'")
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
