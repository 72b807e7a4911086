"""Everything in which SQLite and PostgreSQL differ for us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Select,
    String,
    Table,
    bindparam,
    cast,
    extract,
    func,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from lockgate.adapters.sql.tables import Instant, chains

# the execution option that `engine.py` reads when a transaction begins
BEGIN = "lockgate_begin"
READING = "read"
WRITING = "write"

_MIGRATION_SECONDS = 300
_MIGRATION_LOCK = 0x10C6A7E  # any number that nobody else takes
_NAMES = 0x10C6  # the first half of the locks on names; a lock in two halves meets none that is whole


def is_sqlite(connection: Connection | Engine) -> bool:
    """Whether this is SQLite; all that is not is PostgreSQL."""
    return connection.dialect.name == "sqlite"


def reader(engine: Engine) -> Connection:
    """A connection whose transaction sees one moment and refuses to write."""
    if is_sqlite(engine):
        return engine.connect().execution_options(**{BEGIN: READING})
    return engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writer(engine: Engine) -> Connection:
    """A connection whose transaction may write: on SQLite it holds the one write lock from its first moment."""
    return engine.connect().execution_options(**{BEGIN: WRITING}) if is_sqlite(engine) else engine.connect()


def hold_rows(connection: Connection, rows: Select[Any]) -> None:
    """Lock rows until the transaction ends. On SQLite the whole file is ours already."""
    if not is_sqlite(connection):
        connection.execute(hold_rows_of(connection, rows))


def hold_rows_of(connection: Connection, rows: Select[Any]) -> Select[Any]:
    """The question that also locks the rows it finds, until the transaction ends. On SQLite the file is ours already.

    A question that is asked often should be made once: making it takes longer than asking it.
    """
    if is_sqlite(connection):
        return rows
    if rows not in _HELD:
        _HELD[rows] = rows.with_for_update()
    return _HELD[rows]


_HELD: dict[Select[Any], Select[Any]] = {}


def hold_file(connection: Connection) -> None:
    """Take SQLite's write lock in a transaction somebody else began and has not read in; nothing on PostgreSQL."""
    if not is_sqlite(connection):
        return
    driver: Any = connection.connection.dbapi_connection
    if driver.in_transaction:
        # a write of no row takes the lock as well, and waits for it as long as the connection waits for anything
        connection.execute(update(chains).where(chains.c.chain == "").values(number=0))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def hold_name(connection: Connection, name: str) -> None:
    """Lock a name that no row bears, until the transaction ends. On SQLite the whole file is ours already.

    Two names may share a lock: then one waits for the other for no reason, which does no harm.
    """
    if not is_sqlite(connection):
        connection.execute(_HOLD_NAME, {"held": name})


# what locks the name that is the value `held`, for a question that asks something else as well
NAME_LOCK = func.pg_advisory_xact_lock(_NAMES, func.hashtext(bindparam("held", type_=String)))


def hold_migrations(connection: Connection) -> None:
    """Let one process migrate at a time; the others wait for minutes, since a large table takes as long."""
    if not is_sqlite(connection):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_MIGRATION_SECONDS}s'")
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))


def skipping_held(rows: Select[Any]) -> Select[Any]:
    """Lock the rows found, passing over those another transaction holds (SQLite has no such words and needs none)."""
    return rows.with_for_update(skip_locked=True)


def measure(connection: Connection, tables: Sequence[Table]) -> None:
    """Let PostgreSQL see at once how much lies in tables that were filled in bulk: it would do so a minute later.

    Until then it takes a model for small, and reads all of it where an index leads to one row. A table that somebody
    else has locked is left out. SQLite goes by the shape of a question.
    """
    if not is_sqlite(connection):
        connection.exec_driver_sql(f"ANALYZE (SKIP_LOCKED) {', '.join(table.name for table in tables)}")


def insert_if_new(
    connection: Connection,
    table: Table,
    values: Mapping[str, Any],
    unique: Sequence[Column[Any]],
    where: ColumnElement[bool] | None = None,
) -> bool:
    """Insert the row; False when one with the same `unique` columns is there, among those for which `where` holds.

    Not by catching the error: on PostgreSQL that would end the transaction.
    """
    build = sqlite.insert if is_sqlite(connection) else postgresql.insert
    written = (build, table, *(column.name for column in unique), where is None)
    if written not in _WRITTEN:
        added = build(table).on_conflict_do_nothing(index_elements=unique, index_where=where)
        # where a number is fetched that PostgreSQL gave the row, or the cursor is closed early, the count is lost
        _WRITTEN[written] = added.inline().execution_options(preserve_rowcount=True)
    return connection.execute(_WRITTEN[written], dict(values)).rowcount == 1


def insert_or_replace(connection: Connection, table: Table, column: str) -> Any:
    """The statement that writes a row, or this one column of it where a row with its primary key is there."""
    build = sqlite.insert if is_sqlite(connection) else postgresql.insert
    written = (build, table, column)
    if written not in _WRITTEN:
        new = build(table)
        keys = list(table.primary_key.columns)
        _WRITTEN[written] = new.on_conflict_do_update(index_elements=keys, set_={column: new.excluded[column]})
    return _WRITTEN[written]


# statements made once: making one takes longer than running it
_HOLD_NAME = select(NAME_LOCK)
_WRITTEN: dict[Any, Any] = {}


def glance(engine: Engine) -> Connection:
    """A connection for one question, asked often: on PostgreSQL without the round trips of a transaction around it."""
    if is_sqlite(engine):
        return reader(engine)
    return engine.connect().execution_options(isolation_level="AUTOCOMMIT")


def moment(connection: Connection) -> datetime | ColumnElement[datetime]:
    """The time of `now` for use inside a statement, where PostgreSQL need not be asked for it first."""
    return datetime.now(UTC) if is_sqlite(connection) else _instant(func.statement_timestamp())


def now(connection: Connection) -> datetime:
    """The database's time on PostgreSQL, where many machines share it; this machine's on SQLite."""
    if is_sqlite(connection):
        return datetime.now(UTC)
    return connection.execute(_NOW).scalar_one()


def _instant(time: ColumnElement[datetime]) -> ColumnElement[datetime]:
    return type_coerce(cast(extract("epoch", time) * 1_000_000, BigInteger), Instant)


_NOW = select(_instant(func.clock_timestamp()))
