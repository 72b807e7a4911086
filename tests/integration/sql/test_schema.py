"""The migrated schema is the one the code speaks of, however many processes migrate it at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.schema import CreateIndex, CreateTable

from lockgate.adapters.sql import mlflow_tables
from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.schema import MIGRATIONS, REVISIONS, pending, prepare
from lockgate.adapters.sql.tables import PREFIX, VERSION_TABLE, metadata
from lockgate.domain.errors import Unavailable

_PREPARE = """
import sys
from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.schema import pending, prepare
engine = make_engine(sys.argv[1])
sys.stdin.readline()
prepare(engine)
assert not pending(engine)
"""


def schema_of(engine: Engine) -> dict[str, str]:
    """What SQLite keeps of our tables and indexes, spaces aside."""
    sql = f"SELECT name, sql FROM sqlite_master WHERE tbl_name LIKE '{PREFIX}%' AND tbl_name != '{VERSION_TABLE}'"
    with engine.connect() as connection:
        found = connection.exec_driver_sql(sql).all()
    return {name: "".join((text or "").replace(",", "").split()) for name, text in found}


def sorted_letters(schema: dict[str, str]) -> dict[str, str]:
    """Constraints may come in another order; the letters of a definition are the same all the same."""
    return {name: "".join(sorted(text)) for name, text in schema.items()}


def test_the_migrations_make_the_tables_the_code_speaks_of(engine: Engine, tmp_path: Path) -> None:
    options = {
        "include_name": lambda name, kind, _: kind != "table" or (name.startswith(PREFIX) and name != VERSION_TABLE)
    }
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    fresh = create_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    metadata.create_all(fresh)
    # Alembic compares neither the conditions of partial indexes nor AUTOINCREMENT; SQLite kept their words
    assert sorted_letters(schema_of(engine)) == sorted_letters(schema_of(fresh))
    fresh.dispose()


def test_the_tables_can_be_made_on_postgresql() -> None:
    from sqlalchemy.dialects import postgresql

    written = [str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in metadata.sorted_tables]
    for table in metadata.sorted_tables:
        written += [str(CreateIndex(index).compile(dialect=postgresql.dialect())) for index in table.indexes]
    assert sum("WHERE" in text for text in written) == 9
    assert not any("AUTOINCREMENT" in text for text in written)


def test_every_index_and_constraint_has_a_name_postgresql_takes_whole() -> None:
    for table in metadata.sorted_tables:
        names = [index.name for index in table.indexes] + [constraint.name for constraint in table.constraints]
        assert all(name and len(str(name)) <= 63 for name in names), names


def test_no_foreign_key_leads_to_mlflows_tables() -> None:
    leads = {key.column.table.name for table in metadata.sorted_tables for key in table.foreign_keys}
    assert all(name.startswith(PREFIX) for name in leads)


def test_mlflows_tables_have_the_columns_we_use(engine: Engine) -> None:
    with engine.connect() as connection:
        for table in mlflow_tables.metadata.sorted_tables:
            there = {column["name"] for column in inspect(connection).get_columns(table.name)}
            assert {column.name for column in table.columns} <= there, table.name


def test_the_list_of_revisions_is_that_of_the_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(reversed([script.revision for script in scripts])) == REVISIONS


def test_preparing_a_new_file_applies_everything_once(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/100%25 new/lockgate.db")
    assert pending(engine) == REVISIONS
    prepare(engine)
    assert pending(engine) == ()
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO lockgate_models (workspace, name) VALUES ('default', 'kept')")
    prepare(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT name FROM lockgate_models").scalars().all() == ["kept"]
        assert connection.exec_driver_sql("SELECT chain, number FROM lockgate_chains").all() == [("system", 0)]
    engine.dispose()


def test_a_schema_of_a_later_release_is_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    assert pending(engine) == ()
    prepare(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar() == "9999"


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/lockgate.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE lockgate_policies (in_the_way INTEGER)")
    with pytest.raises(Unavailable, match="already exists"):
        prepare(engine)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["lockgate_policies"]
    engine.dispose()


def test_processes_that_prepare_the_same_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PREPARE, f"sqlite:///{tmp_path}/new/lockgate.db"]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=60)[1] for process in started]
        assert [process.returncode for process in started] == [0] * 4, told
    finally:
        for process in started:
            process.kill()
            process.wait()
    engine = make_engine(f"sqlite:///{tmp_path}/new/lockgate.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalars().all() == [REVISIONS[-1]]
    engine.dispose()
