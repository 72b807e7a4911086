"""What MLflow's tables tell of the run that made a version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.usecases.approval_ports import DataSet, Training

MOST_DATA_SETS = 100
# MLflow's own tags of a run
_SOURCE, _USER, _COMMIT, _CONTEXT = (
    "mlflow.source.name",
    "mlflow.user",
    "mlflow.source.git.commit",
    "mlflow.data.context",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SqlTrainings:
    """`Trainings` on MLflow's tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_run(self, run_id: str) -> Training | None:
        runs = mlflow.runs.c
        wanted = select(runs.name, runs.user_id, runs.source_name, runs.start_time).where(runs.run_uuid == run_id)
        row = self._connection.execute(wanted).first()
        if row is None:
            return None
        tags = self._tags(run_id)
        return Training(
            run_id=run_id,
            name=row.name or "",
            user=tags.get(_USER) or row.user_id or "",
            source=tags.get(_SOURCE) or row.source_name or "",
            commit=tags.get(_COMMIT, ""),
            started_at=None if row.start_time is None else _EPOCH + timedelta(milliseconds=row.start_time),
            datasets=self._datasets(run_id),
        )

    def _tags(self, run_id: str) -> dict[str, str]:
        tags = mlflow.tags.c
        wanted = select(tags.key, tags.value).where(tags.run_uuid == run_id, tags.key.in_((_SOURCE, _USER, _COMMIT)))
        return {row.key: row.value or "" for row in self._connection.execute(wanted)}

    def _datasets(self, run_id: str) -> tuple[DataSet, ...]:
        inputs, sets, tags = mlflow.inputs, mlflow.datasets, mlflow.input_tags
        context = (tags.c.input_uuid == inputs.c.input_uuid) & (tags.c.name == _CONTEXT)
        wanted = (
            select(sets.c.name, sets.c.digest, sets.c.dataset_source_type, tags.c.value)
            .select_from(inputs.join(sets, sets.c.dataset_uuid == inputs.c.source_id).outerjoin(tags, context))
            .where(
                inputs.c.destination_type == "RUN",
                inputs.c.destination_id == run_id,
                inputs.c.source_type == "DATASET",
            )
            .order_by(sets.c.name, sets.c.digest)
            .limit(MOST_DATA_SETS)
        )
        rows = self._connection.execute(wanted)
        return tuple(DataSet(row.name, row.digest, row.dataset_source_type, row.value or "") for row in rows)
