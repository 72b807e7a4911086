"""How a database is opened, and what is said when it cannot be."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from lockgate.adapters.sql import readonly, troubles
from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.errors import BadInput, Unavailable
from lockgate.domain.stages import Stage
from tests.contracts.databases import Mlflow
from tests.contracts.makers import ANN, FRAUD_1, T0, Parser, entry
from tests.databases.backends import Database, on_sqlite


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_a_new_file_is_its_owners_alone_and_never_loses_a_commit(tmp_path: Path) -> None:
    path = tmp_path / "home" / "lockgate.db"
    engine = make_engine(f"sqlite:///{path}")
    assert [pragma(engine, name) for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")] == [
        "wal",
        2,
        1,
        20_000,
    ]
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    engine.dispose()


def test_an_adopted_file_keeps_its_journal_mode_and_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE t (x)")
    path.chmod(0o640)
    engine = make_engine(f"sqlite:///{path}")
    assert pragma(engine, "journal_mode") == "delete"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    engine.dispose()


@pytest.mark.parametrize(
    "uri",
    [
        *("nonsense", "mysql://a/b", "sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true"),
        *("postgresql+odd://a/b", "postgresql+asyncpg://a/b", "sqlite+aiosqlite:///a"),
    ],
)
def test_what_is_no_database_of_ours_is_told_with_the_forms_that_are(uri: str) -> None:
    with pytest.raises(BadInput) as told:
        make_engine(uri)
    assert "sqlite:///PATH" in told.value.hint


@pytest.mark.parametrize("open_it", [make_engine, readonly.parse])
@pytest.mark.parametrize(
    "uri", ["postgres:me:hunter2@h/x", "pg://me:hunter2@h:port/x", "me hunter2", "postgresql://me:hunt er2@h:hunter2/x"]
)
def test_a_uri_that_cannot_be_read_is_told_by_its_setting_and_never_shown(
    open_it: Callable[[str], object], uri: str
) -> None:
    with pytest.raises(BadInput) as told:
        open_it(uri)
    assert "--database (or LOCKGATE_DATABASE)" in told.value.message
    assert "hunter2" not in f"{told.value.message} {told.value.hint}"


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be opened"):
        make_engine(f"sqlite:///{tmp_path}")
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot be opened"):
        make_engine(f"sqlite:///{tmp_path}/file/lockgate.db")


def test_a_file_that_is_no_database_is_told(tmp_path: Path, parser: Parser) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear database, " * 100)
    with (
        pytest.raises(Unavailable, match="not an SQLite database"),
        SqlStore(make_engine(f"sqlite:///{path}"), parser).reading() as work,
    ):
        work.catalog.models()


def test_a_database_nobody_prepared_is_told(tmp_path: Path, parser: Parser) -> None:
    store = SqlStore(make_engine(f"sqlite:///{tmp_path}/new.db"), parser)
    with pytest.raises(Unavailable) as told, store.reading() as work:
        work.promotions.recent(None, 1)
    assert "lockgate server" in told.value.hint
    store.engine.dispose()


@on_sqlite
def test_a_database_that_stays_locked_is_told_and_nothing_raw_surfaces(store: SqlStore, monkeypatch) -> None:
    monkeypatch.setattr("lockgate.adapters.sql.engine.BUSY_SECONDS", 0.05)
    store.engine.dispose()  # new connections wait as long as the line above says
    with closing(sqlite3.connect(str(store.engine.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="busy") as told, store.writing(None):
            pass
        other.execute("ROLLBACK")
    assert told.value.hint
    with store.writing(None) as work:
        work.record.write(entry(model=""))


@on_sqlite
def test_a_full_disk_is_told(store: SqlStore) -> None:
    def fill() -> None:
        with store.writing(None) as work:
            work.connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite's own way of running out of room
            for _ in range(1000):
                work.record.write(entry(model="", why="x" * 1000))

    with pytest.raises(Unavailable, match="disk") as told:
        fill()
    assert "space" in told.value.hint


def test_reading_cannot_write(store: SqlStore) -> None:
    with pytest.raises(Unavailable, match="may not be written"), store.reading() as work:
        work.versions.add_model("fraud")
    with store.writing("fraud") as work:
        work.versions.add_model("fraud")


def test_a_statement_that_is_our_own_mistake_crashes_loudly(store: SqlStore) -> None:
    with pytest.raises(IntegrityError), store.changing() as work:
        work.connection.exec_driver_sql("INSERT INTO lockgate_chains (chain) VALUES ('x')")


def test_every_known_trouble_has_advice() -> None:
    known = (*troubles._BY_CODE, *troubles._KNOWN, *troubles._NO_SUCH)
    assert all(message.endswith(".") and re.search(r"[.…]$|NAME$", hint) for _, message, hint in known)


def test_a_reader_sees_one_moment(store: SqlStore, mlflow: Mlflow, fraud: str) -> None:
    with store.reading() as work:
        before = work.catalog.versions(fraud)
        mlflow.version(fraud, 3)
        assert work.catalog.versions(fraud) == before
    with store.reading() as work:
        assert len(work.catalog.versions(fraud)) == 3


@pytest.mark.parametrize("whose", ["an engine like MLflow's", "our engine"])
def test_a_work_in_somebody_elses_transaction_commits_and_is_undone_with_it(
    store: SqlStore, fraud: str, whose: str
) -> None:
    # MLflow's own engine lets the driver begin its transactions, and knows nothing of ours
    theirs = store.engine if whose == "our engine" else create_engine(store.engine.url)

    def change(session: Session) -> None:
        if store.engine.dialect.name == "sqlite":
            session.connection().exec_driver_sql("PRAGMA busy_timeout = 20000")
        work = store.work_on(session.connection())
        store.lock(work.connection, fraud)
        work.versions.place(FRAUD_1, Stage.STAGING, T0, None)
        work.catalog.set_stage(FRAUD_1, Stage.STAGING, T0)
        work.record.write(entry(who=ANN))

    def seen() -> tuple[object, int]:
        with store.reading() as work:
            there = work.versions.get(FRAUD_1)
            return there and there.stage, work.record.verify()[0]

    def is_locked() -> bool:
        if store.engine.dialect.name == "sqlite":
            other, take = create_engine(store.engine.url, connect_args={"timeout": 0}), "BEGIN IMMEDIATE"
        else:
            other, take = create_engine(store.engine.url), "SELECT 1 FROM registered_models FOR UPDATE NOWAIT"
        try:
            with other.connect() as connection:
                connection.exec_driver_sql(take)
        except OperationalError:
            return True
        finally:
            other.dispose()
        return False

    with Session(theirs) as session:
        change(session)
        assert is_locked()
        session.rollback()
    assert seen() == (Stage.NONE, 0)
    with Session(theirs) as session:
        change(session)
        session.commit()
    assert seen() == (Stage.STAGING, 1)
    theirs.dispose()


_DIE_IN_THE_MIDDLE = """
import os, signal, sys
from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.store import SqlStore
from tests.contracts.makers import Parser, entry
store = SqlStore(make_engine(sys.argv[1]), Parser())
with store.writing(None) as work:
    work.record.write(entry("kept", ""))
with store.writing(None) as work:
    work.record.write(entry("lost", ""))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_killed_in_the_middle_leaves_what_was_committed_and_no_lock(
    store: SqlStore, database: Database
) -> None:
    root = Path(__file__).resolve().parents[3]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    command = [sys.executable, "-c", _DIE_IN_THE_MIDDLE, database.uri]
    assert subprocess.run(command, env=env, timeout=60).returncode == -9
    with store.writing(None) as work:
        assert [x.plain["action"] for x in work.record.read()] == ["kept"]
        work.record.write(entry("after", ""))
        assert work.record.verify() == (2, [])
