"""Database files with MLflow's real tables, made once and copied for each test, and rows as MLflow writes them."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from lockgate.adapters.sql.engine import make_engine

_MAKE_MLFLOW_TABLES = """
import sys
from sqlalchemy import create_engine
from mlflow.store.db.utils import _initialize_tables
engine = create_engine(sys.argv[1])
_initialize_tables(engine)
engine.dispose()
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file holding MLflow's tables and no row: made by MLflow itself, once for all workers of a test run."""
    base = tmp_path_factory.getbasetemp()
    # under xdist every worker has a folder of its own inside one of the run
    shared = base.parent if base.name.startswith("popen-") else base
    made = shared / "mlflow-tables.db"
    with (shared / "mlflow-tables.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            making = shared / "mlflow-tables.making.db"
            making.unlink(missing_ok=True)
            # the file is ours first, as when `lockgate up` makes a new one
            make_engine(f"sqlite:///{making}").dispose()
            command = [sys.executable, "-W", "ignore", "-c", _MAKE_MLFLOW_TABLES, f"sqlite:///{making}"]
            subprocess.run(command, check=True, timeout=110, capture_output=True)
            making.rename(made)
    return made


def copy_of(template: Path, folder: Path) -> Path:
    """A database of the test's own."""
    path = folder / "lockgate.db"
    shutil.copyfile(template, path)
    return path


def milliseconds(at: datetime) -> int:
    return int((at - _EPOCH).total_seconds() * 1000)


class Mlflow:
    """Writes rows past Lockgate, as a stock MLflow server on the same database does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def model(self, name: str, tags: Mapping[str, str] | None = None) -> None:
        self._run("INSERT INTO registered_models (workspace, name, creation_time) VALUES ('default', :n, 1)", n=name)
        for key, value in (tags or {}).items():
            sql = "INSERT INTO registered_model_tags (workspace, name, key, value) VALUES ('default', :n, :k, :v)"
            self._run(sql, n=name, k=key, v=value)

    def version(
        self,
        name: str,
        version: int,
        *,
        stage: str = "None",
        created: datetime = _EPOCH,
        updated: datetime | None = None,
        run_id: str | None = None,
        source: str = "models:/m-none",
        location: str | None = None,
        user: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self._run(
            "INSERT INTO model_versions (workspace, name, version, creation_time, last_updated_time, description,"
            " user_id, current_stage, source, storage_location, run_id, status)"
            " VALUES ('default', :n, :v, :created, :updated, 'a text', :user, :stage, :source, :location, :run, 'READY'"
            ")",
            n=name,
            v=version,
            created=milliseconds(created),
            updated=milliseconds(updated) if updated else None,
            user=user,
            stage=stage,
            source=source,
            location=location,
            run=run_id,
        )
        for key, value in (tags or {}).items():
            columns = "workspace, name, version, key, value"
            sql = f"INSERT INTO model_version_tags ({columns}) VALUES ('default', :n, :v, :k, :x)"
            self._run(sql, n=name, v=version, k=key, x=value)

    def alias(self, name: str, alias: str, version: int) -> None:
        sql = "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES ('default', :n, :a, :v)"
        self._run(sql, n=name, a=alias, v=version)

    def run(self, run_id: str, metrics: Mapping[str, float | None]) -> None:
        """A run with last values; None is NaN, which MLflow writes as 0 with a flag."""
        self._experiment()
        self._run("INSERT INTO runs (run_uuid, experiment_id) VALUES (:r, 1)", r=run_id)
        for key, value in metrics.items():
            sql = (
                "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)"
                " VALUES (:k, :v, 1, 0, :nan, :r)"
            )
            self._run(sql, k=key, v=value or 0.0, nan=value is None, r=run_id)

    def logged_model(self, model_id: str) -> None:
        self._experiment()
        sql = (
            "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms,"
            " last_updated_timestamp_ms, status) VALUES (:m, 1, 'model', 'somewhere', 1, 1, 2)"
        )
        self._run(sql, m=model_id)

    def logged_model_metric(
        self, model_id: str, run_id: str, name: str, value: float | None, *, step: int = 0, timestamp: int = 1
    ) -> None:
        """One value of a logged model's metric; None is NaN, which only the run's own row tells from 0."""
        where = {"m": model_id, "r": run_id, "k": name, "v": value or 0.0, "t": timestamp, "s": step}
        sql = (
            "INSERT INTO logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step, metric_value,"
            " experiment_id, run_id) VALUES (:m, :k, :t, :s, :v, 1, :r)"
        )
        self._run(sql, **where)
        sql = "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (:k, :v, :t, :r, :s, :nan)"
        self._run(sql, **{k: v for k, v in where.items() if k != "m"}, nan=value is None)

    def stage_of(self, name: str, version: int) -> str:
        sql = "SELECT current_stage FROM model_versions WHERE name = :n AND version = :v"
        with self._engine.connect() as connection:
            return str(connection.execute(text(sql), {"n": name, "v": version}).scalar_one())

    def rename(self, old: str, new: str) -> None:
        self._run("UPDATE registered_models SET name = :new WHERE name = :old", old=old, new=new)

    def delete(self, name: str) -> None:
        for table in ("model_version_tags", "registered_model_aliases", "model_versions", "registered_models"):
            self._run(f"DELETE FROM {table} WHERE name = :n", n=name)

    def _experiment(self) -> None:
        self._run(
            "INSERT OR IGNORE INTO experiments (experiment_id, name, lifecycle_stage) VALUES (1, 'one', 'active')"
        )

    def _run(self, sql: str, **values: object) -> None:
        with self._engine.begin() as connection:
            connection.execute(text(sql), values)
