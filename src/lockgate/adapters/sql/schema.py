"""Brings our tables up to date, once, however many processes start at the same moment."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, column, inspect, select, table

from lockgate.adapters.sql.dialects import hold_migrations, reader, writer
from lockgate.adapters.sql.tables import VERSION_TABLE
from lockgate.adapters.sql.troubles import explained

# every revision in order (a test holds it against the scripts): most starts need no Alembic, which is slow to import
REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
)
MIGRATIONS = Path(__file__).with_name("migrations")


def prepare(engine: Engine) -> None:
    """Bring the schema to the newest revision. Nothing to do when it is there, or a later release brought it further.

    Raises Unavailable when the database does not answer.
    """
    if not pending(engine):
        return
    with explained(), writer(engine) as connection, connection.begin():
        hold_migrations(connection)
        # another process may have done it while this one waited
        if _pending(connection):
            _upgrade(connection)


def pending(engine: Engine) -> tuple[str, ...]:
    """The revisions that are still to be applied, in order."""
    with explained(), reader(engine) as connection, connection.begin():
        return _pending(connection)


def _pending(connection: Connection) -> tuple[str, ...]:
    if not inspect(connection).has_table(VERSION_TABLE):
        return REVISIONS
    current = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    if current is None:
        return REVISIONS
    # one we don't know is of a later release, which keeps its schema fit for this one
    return REVISIONS[REVISIONS.index(current) + 1 :] if current in REVISIONS else ()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # Alembic reads % in its options as a placeholder
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
