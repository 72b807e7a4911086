"""Takes Lockgate out of a database again: our tables, our indexes on MLflow's, and nothing else."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, func, inspect, select, table, text

from lockgate.adapters.sql import mlflow_indexes, readonly
from lockgate.adapters.sql.dialects import hold_migrations, is_sqlite, writer
from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.tables import PREFIX
from lockgate.adapters.sql.troubles import explained
from lockgate.domain.errors import NotFound
from lockgate.usecases.doctor import Removed


def remove(uri: str) -> Removed:
    """Drop whatever is ours: safe to repeat, and after an interruption. Tables go in one transaction, indexes after it.

    Raises NotFound when there is no such file, Unavailable when the database does not answer.
    """
    url = readonly.parse(uri)
    path = Path(url.database or "").absolute()
    if url.get_backend_name() == "sqlite" and not path.is_file():
        raise NotFound(f"There is no file {path}.", hint="Name the database with --database.")
    engine = make_engine(uri)
    try:
        tables = _drop_tables(engine)
        return Removed(tables, _drop_indexes(engine))
    finally:
        engine.dispose()


def counts(connection: Connection, names: tuple[str, ...]) -> dict[str, int]:
    """How many rows each table holds."""
    return {name: connection.execute(select(func.count()).select_from(table(name))).scalar_one() for name in names}


def _drop_tables(engine: Engine) -> tuple[str, ...]:
    with explained(), writer(engine) as connection, connection.begin():
        hold_migrations(connection)
        names = tuple(name for name in sorted(inspect(connection).get_table_names()) if name.startswith(PREFIX))
        quote = connection.dialect.identifier_preparer.quote
        if is_sqlite(connection):
            # they refer to each other: what is dropped before what it refers to is no orphan at the commit
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
            for name in names:
                connection.exec_driver_sql(f"DROP TABLE {quote(name)}")
        elif names:
            connection.exec_driver_sql(f"DROP TABLE {', '.join(map(quote, names))}")
        return names


def _drop_indexes(engine: Engine) -> tuple[str, ...]:
    with explained(), engine.connect() as connection:
        if not inspect(connection).has_table("model_versions"):
            return ()
    return mlflow_indexes.drop(engine)
