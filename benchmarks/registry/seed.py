"""Fills a database quickly: MLflow makes its tables, the rows go in by bulk SQL. Kept in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.registry import content
from benchmarks.registry.content import BORN, Content

CACHE = Path(tempfile.gettempdir()) / "lockgate-benchmarks"
_MAKE_TABLES = """
import sys
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
SqlAlchemyStore(sys.argv[1], "mlflow-artifacts:/")
"""
_MODEL = ("workspace", "name", "creation_time", "last_updated_time", "description")
_VERSION = (
    *("workspace", "name", "version", "creation_time", "last_updated_time", "description", "current_stage"),
    *("source", "storage_location", "run_id", "status", "user_id"),
)
_RUN = (
    *("run_uuid", "name", "source_type", "source_name", "user_id", "status", "start_time", "end_time"),
    *("lifecycle_stage", "artifact_uri", "experiment_id"),
)
_WORKSPACE = "default"


def sqlite_file(of: Content, to: Path) -> str:
    """A SQLite database with that content at `to`, and its URI."""
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = CACHE / f"{of.key}.db"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            fresh = Path(folder) / "fresh.db"
            make_tables(f"sqlite:///{fresh}")
            with sqlite3.connect(fresh) as connection:
                for table, columns, rows in tables(of):
                    holes = ", ".join("?" * len(columns))
                    connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({holes})", rows)  # noqa: S608 - names are constants
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            os.replace(fresh, kept)
    shutil.copyfile(kept, to)
    return f"sqlite:///{to}"


def write_ahead(uri: str) -> None:
    """Give an SQLite file the journal of those that Lockgate makes itself; an adopted file keeps its own."""
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def postgres_database(of: Content, server: str, name: str) -> str:
    """A fresh database of that name with that content, and its URI. `server` is the URI of the server alone."""
    import psycopg

    template = of.key.replace("-", "_")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        known = {str(row[0]) for row in admin.execute("SELECT datname FROM pg_database").fetchall()}
        if template not in known:
            fresh = f"{template}_fresh"
            admin.execute(f'DROP DATABASE IF EXISTS "{fresh}"'.encode())
            admin.execute(f'CREATE DATABASE "{fresh}"'.encode())
            make_tables(f"{server}/{fresh}")
            _copy_in(of, f"{server}/{fresh}")
            admin.execute(f'ALTER DATABASE "{fresh}" RENAME TO "{template}"'.encode())
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return f"{server}/{name}"


def make_tables(uri: str) -> None:
    """MLflow's own tables in an empty database, made by MLflow."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "LOCKGATE_"))}
    subprocess.run(
        [sys.executable, "-c", _MAKE_TABLES, driver(uri)],
        check=True, capture_output=True, timeout=300, env=kept | {"MLFLOW_DISABLE_TELEMETRY": "true"},
    )  # fmt: skip


def driver(uri: str) -> str:
    """The URI with psycopg 3 named: stock MLflow would look for a driver that is not installed."""
    return uri.replace("postgresql://", "postgresql+psycopg://", 1)


def tables(of: Content) -> Iterator[tuple[str, Sequence[str], Iterable[tuple[Any, ...]]]]:
    """Table, columns and rows, in an order that foreign keys allow."""
    yield "runs", _RUN, (_run(name) for name, _ in of.all())
    yield (
        "registered_models",
        _MODEL,
        (
            (_WORKSPACE, name, BORN + number, BORN + number, content.description(name))
            for number, (name, _) in enumerate(of.all())
        ),
    )
    yield (
        "registered_model_tags",
        ("workspace", "name", "key", "value"),
        ((_WORKSPACE, name, *tag) for name, _ in of.all() for tag in content.model_tags(name).items()),
    )
    yield (
        "model_versions",
        _VERSION,
        (_version(name, v, count) for name, count in of.all() for v in range(1, count + 1)),
    )
    yield (
        "model_version_tags",
        ("workspace", "name", "version", "key", "value"),
        (
            (_WORKSPACE, name, v, *tag)
            for name, count in of.all()
            for v in range(1, count + 1)
            for tag in content.version_tags(name, v).items()
        ),
    )
    yield (
        "registered_model_aliases",
        ("workspace", "name", "alias", "version"),
        ((_WORKSPACE, name, *alias) for name, count in of.all() for alias in content.aliases(count).items()),
    )


def _run(name: str) -> tuple[Any, ...]:
    told = ("LOCAL", "train.py", "somebody", "FINISHED", BORN, BORN, "active", content.run_artifacts(name), 0)
    return content.run_id(name), f"training of {name}", *told


def _version(name: str, version: int, versions: int) -> tuple[Any, ...]:
    where, when = content.source(name, version), BORN + version * 1000
    told = content.stage(version, versions), where, where, content.run_id(name), "READY", ""
    return _WORKSPACE, name, version, when, when, f"trained on day {version}", *told


def _copy_in(of: Content, uri: str) -> None:
    import psycopg

    with psycopg.connect(uri) as connection:
        for table, columns, rows in tables(of):
            with connection.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
