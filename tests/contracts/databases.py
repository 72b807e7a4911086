"""Rows as MLflow writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Engine, text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        # MLflow's own default experiment may have this number already
        self._run(
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (1, 'one', 'active')"
            " ON CONFLICT DO NOTHING"
        )

    def _run(self, sql: str, **values: object) -> None:
        with self._engine.begin() as connection:
            connection.execute(text(sql), values)
