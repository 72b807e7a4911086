"""MLflow's own rows: read as they are, and written as projections of ours."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, delete, exists, func, insert, select, update

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.domain.errors import NotFound
from lockgate.domain.evidence import Metric
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import CatalogVersion

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# the two forms in which MLflow's clients name the logged model that a version was made from
_LOGGED_MODEL = re.compile(r"(?:^models:/|/models/)(?P<id>m-[0-9a-f]{32})(?:/artifacts)?/?$")


def moment(milliseconds: int | None) -> datetime:
    """MLflow's milliseconds since 1970; its beginning where MLflow has none."""
    return _EPOCH + timedelta(milliseconds=milliseconds or 0)


class SqlCatalog:
    """`Catalog` on MLflow's tables."""

    def __init__(self, connection: Connection, workspace: str) -> None:
        self._connection = connection
        self._workspace = workspace

    def has_model(self, model: str) -> bool:
        return self._one(mlflow.registered_models, name=model) is not None

    def is_prompt(self, model: str) -> bool:
        found = self._one(mlflow.registered_model_tags, name=model, key=mlflow.IS_PROMPT)
        return found is not None and str(found.value).lower() == "true"

    def models(self) -> Sequence[str]:
        table, tags = mlflow.registered_models.c, mlflow.registered_model_tags.c
        is_prompt = exists().where(
            tags.workspace == table.workspace,
            tags.name == table.name,
            tags.key == mlflow.IS_PROMPT,
            func.lower(tags.value) == "true",
        )
        found = self._connection.execute(select(table.name).where(table.workspace == self._workspace, ~is_prompt))
        return sorted(found.scalars())

    def version(self, ref: VersionRef) -> CatalogVersion | None:
        here = mlflow.model_versions.c.version == ref.version
        return next(iter(self._versions(ref.model, here)), None)

    def versions(self, model: str) -> Sequence[CatalogVersion]:
        return self._versions(model)

    def metrics(self, ref: VersionRef) -> Mapping[str, Metric]:
        row = self._one(mlflow.model_versions, name=ref.model, version=ref.version)
        if row is None or row.current_stage == mlflow.DELETED:
            return {}
        found = self._run_metrics(row.run_id) if row.run_id else {}
        logged = _LOGGED_MODEL.search(row.source or "") or _LOGGED_MODEL.search(row.storage_location or "")
        return {**found, **(self._logged_model_metrics(logged["id"]) if logged else {})}

    def set_stage(self, ref: VersionRef, stage: Stage, at: datetime) -> None:
        now = (at - _EPOCH) // _MILLISECOND
        here = self._here(mlflow.model_versions, name=ref.model, version=ref.version)
        values = {"current_stage": stage.value, "last_updated_time": now}
        if self._connection.execute(update(mlflow.model_versions).where(here).values(values)).rowcount == 0:
            raise NotFound(f"There is no version {ref} in the registry.", hint=f"lockgate status {ref.model}")
        here = self._here(mlflow.registered_models, name=ref.model)
        self._connection.execute(update(mlflow.registered_models).where(here).values(last_updated_time=now))

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        self._set(mlflow.registered_model_aliases, {"name": model, "alias": alias}, "version", version)

    def set_tag(self, ref: VersionRef, key: str, value: str | None) -> None:
        self._set(mlflow.model_version_tags, {"name": ref.model, "version": ref.version, "key": key}, "value", value)

    def _versions(self, model: str, *also: ColumnElement[bool]) -> list[CatalogVersion]:
        table = mlflow.model_versions
        here = and_(self._here(table, name=model), table.c.current_stage.is_distinct_from(mlflow.DELETED), *also)
        rows = self._connection.execute(select(table).where(here).order_by(table.c.version.desc())).all()
        if not rows:
            return []
        only = rows[0].version if len(rows) == 1 else None
        tags, aliases = self._tags(model, only), self._aliases(model)
        return [_catalog_version(row, tags[row.version], aliases[row.version]) for row in rows]

    def _tags(self, model: str, version: int | None) -> dict[int, dict[str, str]]:
        table = mlflow.model_version_tags
        here = self._here(table, name=model) if version is None else self._here(table, name=model, version=version)
        found: dict[int, dict[str, str]] = defaultdict(dict)
        for row in self._connection.execute(select(table.c.version, table.c.key, table.c.value).where(here)):
            found[row.version][row.key] = row.value or ""
        return found

    def _aliases(self, model: str) -> dict[int, list[str]]:
        table = mlflow.registered_model_aliases
        found: dict[int, list[str]] = defaultdict(list)
        for row in self._connection.execute(select(table).where(self._here(table, name=model)).order_by(table.c.alias)):
            found[row.version].append(row.alias)
        return found

    def _run_metrics(self, run_id: str) -> dict[str, Metric]:
        table = mlflow.latest_metrics.c
        rows = self._connection.execute(select(table.key, table.value, table.is_nan).where(table.run_uuid == run_id))
        return {row.key: Metric(math.nan if row.is_nan else row.value, "run") for row in rows}

    def _logged_model_metrics(self, model_id: str) -> dict[str, Metric]:
        table, of_run = mlflow.logged_model_metrics.c, mlflow.metrics.c
        newest_first = (table.metric_step.desc(), table.metric_timestamp_ms.desc())
        place = func.row_number().over(partition_by=table.metric_name, order_by=newest_first).label("place")
        last = select(mlflow.logged_model_metrics, place).where(table.model_id == model_id).subquery().c
        # MLflow writes NaN here as 0, and says that it was NaN only in the run's own row
        is_nan = exists().where(
            last.metric_value == 0,
            of_run.run_uuid == last.run_id,
            of_run.key == last.metric_name,
            of_run.step == last.metric_step,
            of_run.timestamp == last.metric_timestamp_ms,
            of_run.is_nan.is_(True),
        )
        rows = self._connection.execute(select(last.metric_name, last.metric_value, is_nan).where(last.place == 1))
        return {
            name: Metric(math.nan if was_nan or value is None else value, "logged model")
            for name, value, was_nan in rows
        }

    def _one(self, table: Table, **key: Any) -> Row[Any] | None:
        return self._connection.execute(select(table).where(self._here(table, **key))).first()

    def _here(self, table: Table, **key: Any) -> ColumnElement[bool]:
        return and_(table.c.workspace == self._workspace, *(table.c[name] == value for name, value in key.items()))

    def _set(self, table: Table, key: Mapping[str, Any], column: str, value: Any) -> None:
        """Write one value under its key, or remove it with None."""
        here = self._here(table, **key)
        if value is None:
            self._connection.execute(delete(table).where(here))
        elif self._connection.execute(update(table).where(here).values({column: value})).rowcount == 0:
            self._connection.execute(insert(table).values({"workspace": self._workspace, **key, column: value}))


def _catalog_version(row: Row[Any], tags: Mapping[str, str], aliases: Iterable[str]) -> CatalogVersion:
    return CatalogVersion(
        ref=VersionRef(row.name, row.version),
        stage=row.current_stage or Stage.NONE.value,
        location=row.storage_location or row.source or "",
        run_id=row.run_id or None,
        tags=tags,
        aliases=tuple(aliases),
        created_at=moment(row.creation_time),
        description=row.description or "",
    )
