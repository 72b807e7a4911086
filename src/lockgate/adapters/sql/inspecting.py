"""Looks at a database before and after it is adopted, and changes nothing: what is there, and what disagrees."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, String, column, func, inspect, select, table

from lockgate.adapters.sql import inspecting_registry as registered
from lockgate.adapters.sql import inspecting_rights as rights
from lockgate.adapters.sql import mlflow_indexes, mlflow_revisions, readonly
from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.adoption import Beginning, SqlAdoption
from lockgate.adapters.sql.dialects import is_sqlite, reader
from lockgate.adapters.sql.policies import ParsePolicy
from lockgate.adapters.sql.schema import REVISIONS
from lockgate.adapters.sql.tables import PREFIX, VERSION_TABLE, audit, groups, metadata, promotions, validations
from lockgate.adapters.sql.troubles import explained
from lockgate.domain.audit import SYSTEM
from lockgate.domain.drift import Difference
from lockgate.domain.errors import Unavailable
from lockgate.usecases.doctor import Database, Ours, Schema, State

_TRIES = 3


def look(uri: str, parse_policy: ParsePolicy) -> Database:
    """Everything there is to know about the database. Changes nothing at all.

    Raises BadInput for a URI of another kind or a file that is no database, Unavailable when it cannot be read.
    """
    url = readonly.parse(uri)
    missing = _missing_file(url)
    if missing is not None:
        return missing
    for left in reversed(range(_TRIES)):
        before = _mark(url)
        try:
            with readonly.reading(url) as connection:
                found = _look(connection, url, parse_policy)
        except Unavailable:
            if not left or _mark(url) == before:
                raise
            continue
        if not left or _mark(url) == before:
            return found
    raise AssertionError("the last try returns or raises")


def _mark(url: URL) -> tuple[int, ...]:
    """What changes when an SQLite file that nobody had open is opened and written while we look at it."""
    if url.get_backend_name() != "sqlite":
        return ()
    path = Path(url.database or "").absolute()
    told, log = path.stat(), path.with_name(path.name + "-wal")
    return (told.st_mtime_ns, told.st_size, int(log.exists()))


def fitness(engine: Engine) -> Database:
    """The few facts that decide whether Lockgate may start on the database; the rest is left out.

    Raises Unavailable when it does not answer.
    """
    with explained(), reader(engine) as connection, connection.begin():
        names = frozenset(inspect(connection).get_table_names())
        schema, ours = _schema(connection, names), _ours(connection, names)
        return replace(_place(engine.url), schema=schema, lacks=rights.lacks(connection, engine.url, schema, ours))


def _missing_file(url: URL) -> Database | None:
    if url.get_backend_name() != "sqlite" or Path(url.database or "").exists():
        return None
    path = Path(url.database or "").absolute()
    above = next(parent for parent in path.parents if parent.exists())
    lacks = (
        () if os.access(above, os.W_OK | os.X_OK) else ((f"The folder {above} may not be written.", f"ls -ld {above}"),)
    )
    return Database(readonly.address(url), "SQLite", there=False, lacks=lacks)


def _place(url: URL) -> Database:
    return Database(readonly.address(url), "SQLite" if url.get_backend_name() == "sqlite" else "PostgreSQL")


def _look(connection: Connection, url: URL, parse_policy: ParsePolicy) -> Database:
    names = frozenset(inspect(connection).get_table_names())
    schema, ours = _schema(connection, names), _ours(connection, names)
    path = Path(url.database or "").absolute()
    found = replace(
        _place(url),
        version=readonly.driver_version(connection),
        journal_mode=readonly.journal_mode(path) if is_sqlite(connection) else "",
        private=not is_sqlite(connection) or not path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH),
        lacks=rights.lacks(connection, url, schema, ours),
        schema=schema,
        foreign=tuple(sorted(_foreign(names))),
        ours=ours,
    )
    if schema.state is not State.KNOWN:
        return found
    policy = parse_policy(None)
    drift: tuple[Difference, ...] = ()
    if ours.revision in REVISIONS[-1:]:
        policy, drift = registered.drift(connection, parse_policy)
    differing = {each.model for each in drift}
    disagreements = tuple(each for each in registered.disagreements(connection, policy) if each.model not in differing)
    return replace(
        found,
        registry=registered.registry(connection),
        drift=drift,
        disagreements=disagreements,
        artifacts=registered.artifacts(connection),
    )


# --- tables -----------------------------------------------------------------------------------------------------------


def _schema(connection: Connection, names: frozenset[str]) -> Schema:
    noted: tuple[str, ...] = ()
    if mlflow_revisions.VERSION_TABLE in names:
        noted = tuple(sorted(_revisions(connection, mlflow_revisions.VERSION_TABLE)))
    theirs = names & mlflow_revisions.TABLES
    missing = sorted(mlflow_revisions.TABLES - names)
    if noted and not missing:
        missing = _missing_columns(connection)
    return Schema(
        mlflow=mlflow_revisions.MLFLOW,
        head=mlflow_revisions.HEAD,
        revisions=noted,
        tables=len(theirs),
        missing=tuple(missing),
        older=len(noted) == 1 and noted[0] in mlflow_revisions.OLDER,
    )


def _missing_columns(connection: Connection) -> list[str]:
    """Columns that we read or write and that the tables lack, whatever revision is noted beside them."""
    there, found = inspect(connection), []
    for name, wanted in mlflow.metadata.tables.items():
        columns = {column["name"] for column in there.get_columns(name)}
        found += [f"{name}.{column}" for column in wanted.columns.keys() if column not in columns]  # noqa: SIM118 - SQLAlchemy's own kind of mapping
    return found


def _revisions(connection: Connection, name: str) -> list[str]:
    return [
        str(each)
        for each in connection.execute(select(column("version_num", String)).select_from(table(name))).scalars()
    ]


def _foreign(names: frozenset[str]) -> set[str]:
    known = mlflow_revisions.TABLES | {mlflow_revisions.VERSION_TABLE}
    return {name for name in names - known if not name.startswith((PREFIX, "sqlite_"))}


def _ours(connection: Connection, names: frozenset[str]) -> Ours:
    mine = tuple(sorted(name for name in names if name.startswith(PREFIX)))
    wanted = tuple(sorted({*metadata.tables, VERSION_TABLE}))
    absent = mlflow_indexes.absent(connection) if names >= set(rights.INDEXED) else mlflow_indexes.INDEXES
    indexes = tuple(name for name in mlflow_indexes.INDEXES if name not in absent)
    noted = _revisions(connection, VERSION_TABLE) if VERSION_TABLE in names else []
    revision = noted[0] if noted else None
    adds = tuple(name for name in wanted if name not in mine)
    found = Ours(revision, revision is None or revision in REVISIONS, mine, indexes, adds, absent)
    if audit.name not in names or revision not in REVISIONS:
        return found
    begun = SqlAdoption(connection, Beginning()).begun()
    first = select(audit.c.at).where(audit.c.chain == SYSTEM, audit.c.action == begun).order_by(audit.c.id).limit(1)
    return replace(
        found,
        begun=begun,
        begun_at=connection.execute(first).scalar() if begun else None,
        entries=connection.execute(select(func.count()).select_from(audit)).scalar_one(),
        last_seen=_last_seen(connection),
    )


def _last_seen(connection: Connection) -> datetime | None:
    """When a process of Lockgate last left a sign of life, or until when one holds a lease."""
    signs = [
        select(func.max(groups.c.seen_at)),
        select(func.max(promotions.c.lease_until)).where(promotions.c.closed_at.is_(None)),
        select(func.max(validations.c.lease_until)).where(validations.c.finished_at.is_(None)),
    ]
    found: list[datetime | None] = [connection.execute(sign).scalar() for sign in signs]
    times: list[datetime] = [found_at for found_at in found if found_at is not None]
    return max(times) if times else None
