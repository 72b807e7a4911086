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
from sqlalchemy import Engine, inspect, text
from sqlalchemy.schema import CreateIndex, CreateTable

from lockgate.adapters.sql import mlflow_tables
from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.schema import MIGRATIONS, REVISIONS, pending, prepare
from lockgate.adapters.sql.tables import PREFIX, VERSION_TABLE, metadata
from lockgate.domain.errors import Unavailable
from tests.databases.backends import SQLITE, Backend, Database
from tests.databases.templates import Template

_PREPARE = """
import sys
from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.schema import pending, prepare
engine = make_engine(sys.argv[1])
sys.stdin.readline()
prepare(engine)
assert not pending(engine)
"""


_ON_SQLITE = f"SELECT name, sql FROM sqlite_master WHERE tbl_name LIKE '{PREFIX}%' AND tbl_name <> '{VERSION_TABLE}'"
_ON_POSTGRESQL = f"""
SELECT table_name || '.' || column_name,
    concat_ws(' ', data_type, character_maximum_length, is_nullable, column_default)
FROM information_schema.columns WHERE starts_with(table_name, '{PREFIX}') AND table_name <> '{VERSION_TABLE}'
UNION ALL SELECT indexname, indexdef FROM pg_indexes
WHERE starts_with(tablename, '{PREFIX}') AND tablename <> '{VERSION_TABLE}'
UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE starts_with(conname, '{PREFIX}') AND NOT starts_with(conname, '{VERSION_TABLE}')
"""


def schema_of(engine: Engine) -> dict[str, str]:
    """What the database keeps of our tables and indexes, spaces aside."""
    sql = text(_ON_SQLITE if engine.dialect.name == "sqlite" else _ON_POSTGRESQL)
    with engine.connect() as connection:
        found = connection.execute(sql).all()
    return {name: "".join((told or "").replace(",", "").split()) for name, told in found}


def sorted_letters(schema: dict[str, str]) -> dict[str, str]:
    """Constraints may come in another order; the letters of a definition are the same all the same."""
    return {name: "".join(sorted(text)) for name, text in schema.items()}


def test_the_migrations_make_the_tables_the_code_speaks_of(engine: Engine, backend: Backend) -> None:
    options = {
        "include_name": lambda name, kind, _: kind != "table" or (name.startswith(PREFIX) and name != VERSION_TABLE)
    }
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    fresh = backend.fresh(Template.EMPTY).engine
    metadata.create_all(fresh)
    # Alembic compares neither the conditions of partial indexes nor AUTOINCREMENT; the database kept their words
    assert len(schema_of(fresh)) > 30
    assert sorted_letters(schema_of(engine)) == sorted_letters(schema_of(fresh))


def test_the_tables_can_be_made_on_postgresql() -> None:
    from sqlalchemy.dialects import postgresql

    written = [str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in metadata.sorted_tables]
    for table in metadata.sorted_tables:
        written += [str(CreateIndex(index).compile(dialect=postgresql.dialect())) for index in table.indexes]
    partial = [
        index
        for table in metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["postgresql"]["where"] is not None
    ]
    assert sum("WHERE" in told for told in written) == len(partial) > 10
    assert not any("AUTOINCREMENT" in told for told in written)


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


def test_the_folder_of_a_new_file_is_made(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/100%25 new/lockgate.db")
    prepare(engine)
    assert [path.name for path in tmp_path.iterdir()] == ["100% new"]
    engine.dispose()


def test_preparing_a_new_database_applies_everything_once(backend: Backend) -> None:
    engine = backend.fresh(Template.EMPTY).engine
    assert pending(engine) == REVISIONS
    prepare(engine)
    assert pending(engine) == ()
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO lockgate_models (workspace, name) VALUES ('default', 'kept')")
    prepare(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT name FROM lockgate_models").scalars().all() == ["kept"]
        assert connection.exec_driver_sql("SELECT chain, number FROM lockgate_chains").all() == [("system", 0)]


def test_a_schema_of_a_later_release_is_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    assert pending(engine) == ()
    prepare(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar() == "9999"


def test_a_migration_that_fails_leaves_nothing(backend: Backend) -> None:
    engine = backend.fresh(Template.EMPTY).engine
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE lockgate_policies (in_the_way INTEGER)")
    with pytest.raises(Unavailable, match="already exists"):
        prepare(engine)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["lockgate_policies"]


def test_processes_that_prepare_the_same_new_database_at_once_all_succeed(backend: Backend, tmp_path: Path) -> None:
    # on SQLite they make the file and its folder as well
    new = Database(f"sqlite:///{tmp_path}/new/lockgate.db") if backend.kind == SQLITE else backend.fresh(Template.EMPTY)
    command = [sys.executable, "-c", _PREPARE, new.uri]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=60)[1] for process in started]
        assert [process.returncode for process in started] == [0] * 3, told
    finally:
        for process in started:
            process.kill()
            process.wait()
    with new.engine.connect() as connection:
        if backend.kind == SQLITE:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalars().all() == [REVISIONS[-1]]
    new.close()
