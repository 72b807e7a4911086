"""MLflow's own rows: read as they are, and written as projections of ours."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    update,
)

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.dialects import insert_or_replace, is_sqlite
from lockgate.adapters.sql.registry.statements import Words
from lockgate.adapters.sql.sources import resolved
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


def _logged_at(milliseconds: int | None) -> datetime | None:
    """When a client says that it logged a metric; None for what is no moment of any calendar."""
    if milliseconds is None:
        return None
    try:
        return moment(milliseconds)
    except OverflowError:
        return None


class _Origin(NamedTuple):
    """What a version was made from, as MLflow's row has it."""

    run_id: str
    source: str
    storage_location: str


class SqlCatalog:
    """`Catalog` on MLflow's tables."""

    def __init__(self, connection: Connection, workspace: str) -> None:
        self._connection = connection
        self._workspace = workspace
        # what this transaction has read and not written since: one promotion asks for it several times
        self._read: dict[VersionRef, CatalogVersion | None] = {}
        self._origins: dict[VersionRef, _Origin] = {}  # no change of a version changes these
        self._prompts: dict[str, bool] = {}  # which of the two a model is never changes

    def has_model(self, model: str) -> bool:
        return self._connection.execute(_HAS_MODEL, {"workspace": self._workspace, "name": model}).first() is not None

    def is_prompt(self, model: str) -> bool:
        if model not in self._prompts:
            here = {"workspace": self._workspace, "name": model}
            self.found(model, self._connection.execute(_IS_PROMPT, here).scalar())
        return self._prompts[model]

    def found(self, model: str, mark: str | None) -> None:
        """Keep what the tag that marks a prompt says of the model."""
        self._prompts[model] = mark is not None and str(mark).lower() == "true"

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
        if ref not in self._read:
            self._read[ref] = self._version(ref)
        return self._read[ref]

    def versions(self, model: str) -> Sequence[CatalogVersion]:
        return self._versions(model)

    def metrics(self, ref: VersionRef) -> Mapping[str, Metric]:
        if self.version(ref) is None:
            return {}
        origin = self._origins[ref]
        found = self._run_metrics(origin.run_id) if origin.run_id else {}
        logged = _LOGGED_MODEL.search(origin.source) or _LOGGED_MODEL.search(origin.storage_location)
        return {**found, **(self._logged_model_metrics(logged["id"]) if logged else {})}

    def set_stage(self, ref: VersionRef, stage: Stage, at: datetime) -> None:
        self._read.pop(ref, None)
        here = {"of": self._workspace, "named": ref.model, "at": (at - _EPOCH) // _MILLISECOND}
        there = {**here, "number": ref.version, "stage": stage.value}
        at_once = not is_sqlite(self._connection)
        if self._connection.execute(_SET_STAGE_AND_TOUCH if at_once else _SET_STAGE, there).rowcount == 0:
            raise NotFound(f"There is no version {ref} in the registry.", hint=f"lockgate status {ref.model}")
        if not at_once:
            self._connection.execute(_TOUCH_MODEL, here)

    def set_aliases(self, model: str, aliases: Mapping[str, int | None]) -> None:
        self._read.clear()
        table, here = mlflow.registered_model_aliases, {"workspace": self._workspace, "name": model}
        for alias in (alias for alias, version in aliases.items() if version is None):
            self._connection.execute(delete(table).where(self._here(table, name=model, alias=alias)))
        rows = [
            {**here, "alias": alias, "version": version} for alias, version in aliases.items() if version is not None
        ]
        if rows:
            self._connection.execute(insert_or_replace(self._connection, table, "version"), rows)

    def set_tag(self, ref: VersionRef, key: str, value: str | None) -> None:
        self._read.pop(ref, None)
        self._set(mlflow.model_version_tags, {"name": ref.model, "version": ref.version, "key": key}, "value", value)

    def _version(self, ref: VersionRef) -> CatalogVersion | None:
        here = {"workspace": self._workspace, "name": ref.model, "version": ref.version}
        row = self._connection.execute(_VERSION[is_sqlite(self._connection)], here).first()
        if row is None or row.current_stage == mlflow.DELETED:
            return None
        self._origins[ref] = _Origin(row.run_id or "", row.source or "", row.storage_location or "")
        tags = {tag["key"]: tag["value"] or "" for tag in json.loads(row.tags or "[]")}
        found = _catalog_version(row, tags, sorted(json.loads(row.aliases or "[]")))
        return replace(found, location=resolved(self._connection, found.location, self._workspace))

    def _versions(self, model: str, *also: ColumnElement[bool]) -> list[CatalogVersion]:
        table = mlflow.model_versions
        here = and_(self._here(table, name=model), table.c.current_stage.is_distinct_from(mlflow.DELETED), *also)
        rows = self._connection.execute(select(table).where(here).order_by(table.c.version.desc())).all()
        if not rows:
            return []
        tags, aliases = self._tags(model), self._aliases(model)
        return [_catalog_version(row, tags[row.version], aliases[row.version]) for row in rows]

    def _tags(self, model: str) -> dict[int, dict[str, str]]:
        table = mlflow.model_version_tags
        here = self._here(table, name=model)
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
        read = select(table.key, table.value, table.is_nan, table.timestamp).where(table.run_uuid == run_id)
        return {
            row.key: Metric(math.nan if row.is_nan else row.value, "run", at=_logged_at(row.timestamp))
            for row in self._connection.execute(read)
        }

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
        read = select(last.metric_name, last.metric_value, is_nan, last.metric_timestamp_ms).where(last.place == 1)
        return {
            name: Metric(math.nan if was_nan or value is None else value, "logged model", at=_logged_at(at))
            for name, value, was_nan, at in self._connection.execute(read)
        }

    def _here(self, table: Table, **key: Any) -> ColumnElement[bool]:
        return and_(table.c.workspace == self._workspace, *(table.c[name] == value for name, value in key.items()))

    def _set(self, table: Table, key: Mapping[str, Any], column: str, value: Any) -> None:
        """Write one value under its key, or remove it with None."""
        if value is None:
            self._connection.execute(delete(table).where(self._here(table, **key)))
        else:
            row = {"workspace": self._workspace, **key, column: value}
            self._connection.execute(insert_or_replace(self._connection, table, column), row)


def _this(table: Table, *columns: str) -> ColumnElement[bool]:
    return and_(*(table.c[column] == bindparam(column) for column in columns))


# Made once: making a statement takes longer than running it. The names of the values are those of the columns; where
# a column is written as well, it has to be another.
_HAS_MODEL = select(mlflow.registered_models.c.name).where(_this(mlflow.registered_models, "workspace", "name"))
_IS_PROMPT = select(mlflow.registered_model_tags.c.value).where(
    _this(mlflow.registered_model_tags, "workspace", "name"), mlflow.registered_model_tags.c.key == mlflow.IS_PROMPT
)
# by whether the database is SQLite: a version with its tags and aliases, in JSON
_VERSION: dict[bool, Select[Any]] = {
    sqlite: select(
        *Words(sqlite=sqlite).version_columns(mlflow.model_versions), mlflow.model_versions.c.storage_location
    ).where(_this(mlflow.model_versions, "workspace", "name", "version"))
    for sqlite in (True, False)
}
_SET_STAGE = (
    update(mlflow.model_versions)
    .where(
        mlflow.model_versions.c.workspace == bindparam("of"),
        mlflow.model_versions.c.name == bindparam("named"),
        mlflow.model_versions.c.version == bindparam("number"),
    )
    .values(current_stage=bindparam("stage"), last_updated_time=bindparam("at"))
)
_TOUCH_MODEL = (
    update(mlflow.registered_models)
    .where(
        mlflow.registered_models.c.workspace == bindparam("of"), mlflow.registered_models.c.name == bindparam("named")
    )
    .values(last_updated_time=bindparam("at"))
)
_SET_STAGE_AND_TOUCH = _SET_STAGE.add_cte(_TOUCH_MODEL.cte("touched"))


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
