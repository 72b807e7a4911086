"""Databases as stock MLflow leaves them, with data; what a stock server does to one; and all that is in one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, inspect, text

from lockgate.adapters.sql.mlflow_indexes import INDEXES

# MLflow's own store, in a process of its own: first what it knows of its schema, then the data, in each database named
_SEED = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
from alembic.script import ScriptDirectory
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.store.db.base_sql_model import Base
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore

folder, *uris = sys.argv[1:]
PROMPT = [RegisteredModelTag("mlflow.prompt.is_prompt", "true")]

def fill(store):
    def model(name, stages, aliases=(), tags=()):
        store.create_registered_model(name, tags=list(tags), description="a model")
        for number, stage in enumerate(stages, 1):
            source = f"{folder}/{name}/{number}"
            os.makedirs(source, exist_ok=True)
            open(f"{source}/MLmodel", "w").write("flavors: {}")
            store.create_model_version(name, source, tags=[ModelVersionTag("team", "risk")])
            if stage != "None":
                store.transition_model_version_stage(name, number, stage, False)
        for alias, number in aliases:
            store.set_registered_model_alias(name, alias, number)

    model("fraud", ["Archived", "Production", "Staging"], [("production", 2), ("staging", 3), ("mine", 1)])
    model("twins", ["Production", "Production"])
    model("wrong", ["None", "Production"], [("production", 1)])
    model("plain", ["None", "None"])
    model("greeting", ["None"], [("production", 1)], PROMPT)
    store.delete_model_version("plain", 2)

for uri in uris:
    TrackingStore(uri, folder)  # its first experiment, as every stock server makes it
    fill(SqlAlchemyStore(uri))
revisions = [r.revision for r in ScriptDirectory.from_config(_get_alembic_config(db_url="")).walk_revisions()]
print(json.dumps({"revisions": revisions, "tables": sorted(Base.metadata.tables)}))
"""


def seed(folder: Path, *uris: str) -> dict[str, Any]:
    """Make MLflow's tables and data in each database; what MLflow says of its schema: `revisions`, newest first."""
    command = [sys.executable, "-W", "ignore", "-c", _SEED, str(folder), *uris]
    made = subprocess.run(command, check=False, timeout=110, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    told: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return told


def content(uri: str, *, without_our_indexes: bool = False) -> dict[str, Any]:
    """Every table, column, index and row that is not Lockgate's own."""
    engine = create_engine(uri)
    try:
        with engine.connect() as connection:
            told = _of_sqlite(connection) if connection.dialect.name == "sqlite" else _of_postgresql(connection)
    finally:
        engine.dispose()
    if without_our_indexes:
        told = {name: words for name, words in told.items() if name.removeprefix("index ") not in INDEXES}
    return told


def our_tables(uri: str) -> list[str]:
    """The names of Lockgate's tables."""
    engine = create_engine(uri)
    try:
        return sorted(name for name in inspect(engine).get_table_names() if name.startswith("lockgate_"))
    finally:
        engine.dispose()


def run(uri: str, *statements: str, **values: Any) -> None:
    """Statements past Lockgate, in one transaction."""
    engine = create_engine(uri)
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), values)
    finally:
        engine.dispose()


def rows(uri: str, query: str) -> list[tuple[Any, ...]]:
    engine = create_engine(uri)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


class Stock:
    """What a stock MLflow server writes, in the words of its own store."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def move(self, model: str, version: int, stage: str) -> None:
        self._run(
            "UPDATE model_versions SET current_stage = :s WHERE name = :n AND version = :v", model, version, stage
        )

    def alias(self, model: str, alias: str, version: int | None) -> None:
        self._run("DELETE FROM registered_model_aliases WHERE name = :n AND alias = :s", model, None, alias)
        if version is not None:
            words = (
                "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES ('default', :n, :s, :v)"
            )
            self._run(words, model, version, alias)

    def register(self, model: str, version: int, stage: str = "None", *, at: int = 4_000_000_000_000) -> None:
        """A version made at that moment, in milliseconds since 1970."""
        run(
            self.uri,
            "INSERT INTO model_versions (workspace, name, version, creation_time, last_updated_time, current_stage,"
            " source, status) VALUES ('default', :n, :v, :at, :at, :s, '/nowhere', 'READY')",
            n=model,
            v=version,
            s=stage,
            at=at,
        )

    def delete(self, model: str, version: int) -> None:
        """As MLflow does: the row stays without its words, its aliases and tags go."""
        self._run("DELETE FROM registered_model_aliases WHERE name = :n AND version = :v", model, version)
        self._run("DELETE FROM model_version_tags WHERE name = :n AND version = :v", model, version)
        words = "UPDATE model_versions SET current_stage = 'Deleted_Internal', source = 'REDACTED-SOURCE-PATH' "
        self._run(words + "WHERE name = :n AND version = :v", model, version)

    def delete_model(self, model: str) -> None:
        for table in (
            "registered_model_aliases", "model_version_tags", "model_versions", "registered_model_tags",
            "registered_models",
        ):  # fmt: skip
            self._run(f"DELETE FROM {table} WHERE name = :n", model)

    def register_model(self, model: str) -> None:
        self._run(
            "INSERT INTO registered_models (workspace, name, creation_time) VALUES ('default', :n, 4000000000000)",
            model,
        )

    def rename_model(self, old: str, new: str) -> None:
        # the keys of MLflow's tables follow this one
        self._run("UPDATE registered_models SET name = :s WHERE name = :n", old, None, new)

    def stage(self, model: str, version: int) -> str:
        words = f"SELECT current_stage FROM model_versions WHERE name = '{model}' AND version = {version}"
        return str(rows(self.uri, words)[0][0])

    def holder(self, model: str, alias: str) -> int | None:
        words = f"SELECT version FROM registered_model_aliases WHERE name = '{model}' AND alias = '{alias}'"
        found = rows(self.uri, words)
        return int(found[0][0]) if found else None

    def _run(self, statement: str, model: str, version: int | None = None, word: str | None = None) -> None:
        told = {"n": model, "v": version, "s": word}
        engine = create_engine(self.uri)
        try:
            with engine.begin() as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("PRAGMA foreign_keys = ON")
                connection.execute(
                    text(statement), {key: value for key, value in told.items() if f":{key}" in statement}
                )
        finally:
            engine.dispose()


def _of_sqlite(connection: Connection) -> dict[str, Any]:
    kept = text(
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'lockgate%' AND tbl_name NOT LIKE 'sqlite_%'"
    )
    told: dict[str, Any] = {f"{kind} {name}": words for kind, name, words in connection.execute(kept)}
    for name in [each.removeprefix("table ") for each in told if each.startswith("table ")]:
        told[f"rows {name}"] = sorted(repr(tuple(row)) for row in connection.execute(text(f'SELECT * FROM "{name}"')))
    return told


def _of_postgresql(connection: Connection) -> dict[str, Any]:
    here = "n.nspname = current_schema() AND c.relname NOT LIKE 'lockgate%'"
    queries = {
        "columns": "SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
        "pg_get_expr(d.adbin, d.adrelid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 LEFT JOIN pg_attrdef d ON d.adrelid = c.oid "
        f"AND d.adnum = a.attnum WHERE c.relkind = 'r' AND {here} ORDER BY 1, 2",
        "constraints": "SELECT c.relname, o.conname, pg_get_constraintdef(o.oid) FROM pg_constraint o JOIN pg_class c "
        f"ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {here} ORDER BY 1, 2",
        "sequences": f"SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE c.relkind = 'S' AND {here} ORDER BY 1",
    }
    told: dict[str, Any] = {name: [tuple(row) for row in connection.execute(text(q))] for name, q in queries.items()}
    indexes = text("SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()")
    for table, name, words in connection.execute(indexes):
        if not table.startswith("lockgate"):
            told[f"index {name}"] = words
    tables = text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1")
    for name in connection.execute(tables).scalars().all():
        if not name.startswith("lockgate"):
            told[f"rows {name}"] = (
                connection.execute(text(f'SELECT t::text FROM "{name}" t ORDER BY 1')).scalars().all()
            )
    return told
