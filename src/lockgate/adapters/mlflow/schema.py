"""MLflow's own tables: made on a fresh database, never migrated unasked, refused at any other revision than ours."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from mlflow.store.db.base_sql_model import Base
from mlflow.store.db.utils import (
    _get_alembic_config,
    _get_latest_schema_revision,
    _get_schema_version,
    _initialize_tables,
    _upgrade_db,
    create_sqlalchemy_engine,
)
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from mlflow.version import VERSION
from sqlalchemy import Connection, Engine, Inspector, event, func, inspect, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from lockgate.domain.errors import Unavailable
from lockgate.usecases.doctor import Schema, refusal

MAKING_SECONDS = 120
_MAKING = 0x10C6A80  # any number that nobody else takes
_ANY_OF_MLFLOW = frozenset({"alembic_version", "experiments", "runs", "registered_models", "model_versions"})


def prepare(database: str, say: Callable[[str], None]) -> None:
    """Make MLflow's tables on a database that has none; afterwards they are at this MLflow's revision.

    Raises Conflict naming both revisions when MLflow's tables are there at another one, Unavailable when the database
    cannot be reached.
    """
    engine = create_sqlalchemy_engine(database)
    try:
        # they appear in one commit, so that whoever sees one of them sees all
        if not _has_mlflow(inspect(engine)):
            say(f"making MLflow's tables, which takes some seconds: MLflow {VERSION}")
            _make(engine)
        _verify(engine, database)
    except SQLAlchemyError as error:
        first = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise Unavailable(f"The database cannot be used: {first}.", hint="Look at --database.") from error
    finally:
        engine.dispose()


def _has_mlflow(found: Inspector) -> bool:
    return bool(_ANY_OF_MLFLOW & set(found.get_table_names()))


def _verify(engine: Engine, database: str) -> None:
    """Every start has asked this of constants before; here MLflow itself is asked, whatever was installed since."""
    found = _get_schema_version(engine)
    names = {name for name in inspect(engine).get_table_names() if not name.startswith("alembic_")}
    schema = Schema(
        mlflow=VERSION,
        head=_get_latest_schema_revision(),
        revisions=(found,) if found else (),
        tables=len(names),
        missing=tuple(sorted(set(Base.metadata.tables) - names)),
        older=found in {script.revision for script in _scripts().walk_revisions()},
    )
    wrong = refusal(schema, make_url(database).render_as_string(hide_password=True))
    if wrong is not None:
        raise wrong


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_get_alembic_config(db_url=""))


def _make(engine: Engine) -> None:
    if engine.dialect.name == "sqlite" and engine.url.database:
        path = Path(engine.url.database)
        with one_at_a_time(path.with_name(f"{path.name}.prepare")):
            if not _has_mlflow(inspect(engine)):
                _make_file(path)
    else:
        _make_at_once(engine)


def _make_at_once(engine: Engine) -> None:
    """All in one transaction, one process at a time: whoever is killed leaves nothing, and whoever waited finds all."""
    with engine.connect() as connection, connection.begin():
        connection.execute(text(f"SET LOCAL lock_timeout = '{MAKING_SECONDS}s'"))
        connection.execute(select(func.pg_advisory_xact_lock(_MAKING)))
        if not _has_mlflow(inspect(connection)):
            InitialBase.metadata.create_all(connection)
            _upgrade_db(_Within(connection))


class _Within:
    """An engine as MLflow's migrations ask for one, which only ever gives the connection whose transaction is open."""

    def __init__(self, connection: Connection) -> None:
        self.url = connection.engine.url
        self.engine = self
        self._connection = connection

    def begin(self) -> AbstractContextManager[_Within]:
        return nullcontext(self)

    def connect(self) -> AbstractContextManager[Connection]:
        return nullcontext(self._connection)


def _make_file(database: Path) -> None:
    # made in a file beside it and copied in one transaction: a kill in the middle of MLflow's migrations then leaves
    # nothing, not tables at a revision nobody can go on from
    beside = database.with_name(database.name + ".making")
    _remove(beside)
    try:
        fresh = create_sqlalchemy_engine(f"sqlite:///{beside}")
        event.listen(fresh, "connect", _careless)
        try:
            _initialize_tables(fresh)
        finally:
            fresh.dispose()
        _copy(beside, database)
    finally:
        _remove(beside)


def _careless(driver: Any, _record: object) -> None:
    # the file is thrown away after a crash, so nobody waits for the disk
    driver.execute("PRAGMA synchronous = OFF").close()
    driver.execute("PRAGMA journal_mode = MEMORY").close()


def _copy(source: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(target, timeout=20, isolation_level=None)) as database:
        database.execute("ATTACH DATABASE ? AS made", (str(source),))
        database.execute("BEGIN IMMEDIATE")
        # tables before the indexes and triggers on them
        parts = database.execute(
            "SELECT type, name, sql FROM made.sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' "
            "ORDER BY type <> 'table'"
        ).fetchall()
        for kind, name, sql in parts:
            database.execute(sql)
            if kind == "table":
                _copy_rows(database, name)
        database.execute("COMMIT")


def _copy_rows(database: sqlite3.Connection, table: str) -> None:
    # a generated column is listed as hidden, and is not to be given a value
    columns = [row[1] for row in database.execute(f'PRAGMA made.table_xinfo("{table}")') if row[6] == 0]
    named = ", ".join(f'"{column}"' for column in columns)
    # the names are MLflow's own, read from a file we just made
    database.execute(f'INSERT INTO main."{table}" ({named}) SELECT {named} FROM made."{table}"')  # noqa: S608


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """One process at a time is in here; the file that they wait at is gone afterwards."""
    while True:
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # held for seconds by another starting process; given back when it dies
            if not _is_still(lock, file.fileno()):
                continue  # whoever held it has removed it, and a third one may stand at a new one already
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
