"""The fixed statements: what one version, one model and the newest versions of a model look like in MLflow's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    String,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.sql.elements import KeyedColumnElement

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.domain.stages import Stage

WORKSPACE = bindparam("workspace", type_=String)
NAME = bindparam("name", type_=String)
# as wide as any number a client may name: one that no version can have is a version that is not there
VERSION = bindparam("version", type_=BigInteger)
ALIAS = bindparam("alias", type_=String)
DELETED: ColumnElement[str] = literal_column(f"'{mlflow.DELETED}'")  # as it stands in our indexes

_SQLITE = sqlite.dialect(paramstyle="named")
_POSTGRESQL = psycopg.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL ready to be sent: its parameters in their order, those with one value, and which columns are numbers."""

    sql: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]
    numbers: tuple[bool, ...]


class Words:
    """The two databases' words for the same things."""

    def __init__(self, *, sqlite: bool) -> None:
        self.sqlite = sqlite

    def compiled(self, query: Select[Any]) -> Statement:
        """The statement of a query."""
        made = query.compile(dialect=_SQLITE if self.sqlite else _POSTGRESQL)
        names = tuple(made.params) if self.sqlite else tuple(made.positiontup or ())
        numbers = tuple(isinstance(column.type, Integer) for column in query.selected_columns)
        constants = {name: value for name, value in made.params.items() if value is not None}
        return Statement(made.string, names, constants, numbers)

    def array(self, *parts: ColumnElement[Any]) -> ColumnElement[Any]:
        """A JSON list of these."""
        return func.json_array(*parts) if self.sqlite else func.json_build_array(*parts)

    def gathered(self, item: ColumnElement[Any]) -> ColumnElement[Any]:
        """A JSON list of one item for each row; of no rows it may be NULL."""
        return func.json_group_array(item) if self.sqlite else cast(func.json_agg(item), Text)

    def tags(self, table: Table, of: Sequence[KeyedColumnElement[Any]]) -> ColumnElement[str]:
        """The tags whose row agrees with these columns, as MLflow's clients read them."""
        words = func.json_object if self.sqlite else func.json_build_object
        tag = table.alias("t")
        item = words(literal_column("'key'"), tag.c.key, literal_column("'value'"), tag.c.value)
        return _each(tag, self.gathered(item), of)

    def version_columns(self, row: FromClause, *, aliases: bool = True) -> list[ColumnElement[Any]]:
        """A version as `VersionRow` has it."""
        key = (row.c.workspace, row.c.name, row.c.version)
        plain = [
            row.c.name, row.c.version, row.c.creation_time, row.c.last_updated_time, row.c.description, row.c.user_id,
            row.c.current_stage, row.c.source, row.c.run_id, row.c.run_link, row.c.status, row.c.status_message,
        ]  # fmt: skip
        found: list[ColumnElement[Any]] = [*plain, self.tags(mlflow.model_version_tags, key).label("tags")]
        if aliases:
            alias = mlflow.registered_model_aliases.alias("a")
            found.append(_each(alias, self.gathered(alias.c.alias), key).label("aliases"))
        return found

    def model_columns(self, row: FromClause, *, first: bool) -> list[ColumnElement[Any]]:
        """A model as `ModelRow` has it. `first`: with the first version of each stage, which only one model needs."""
        key = (row.c.workspace, row.c.name)
        alias = mlflow.registered_model_aliases.alias("a")
        aliases = _each(alias, self.gathered(self.array(alias.c.alias, alias.c.version)), key)
        plain = [row.c.name, row.c.creation_time, row.c.last_updated_time, row.c.description]
        return [
            *plain,
            self.tags(mlflow.registered_model_tags, key).label("tags"),
            aliases.label("aliases"),
            self._latest_json(row, first=first).label("latest"),
        ]

    def _latest_json(self, model: FromClause, *, first: bool) -> ColumnElement[Any]:
        oldest, newest, version = _newest(model.c.workspace, model.c.name)
        columns = self.version_columns(version, aliases=False)
        # a text, which is passed on as it is: SQLite would remember that it is JSON, and nest it
        columns[-1] = columns[-1].op("||")(literal_column("''"))
        gathered = select(self.gathered(self.array(oldest if first else literal_column("0"), *columns))).select_from(
            newest
        )
        return gathered.correlate(model).scalar_subquery()

    def version(self) -> Statement:
        """One version by name and number, unless it was deleted."""
        row = mlflow.model_versions
        return self.compiled(select(*self.version_columns(row)).where(*_is(row), _lives(row)))

    def aliased(self) -> Statement:
        """The version that an alias names, with its number even when it is gone."""
        alias, row = mlflow.registered_model_aliases, mlflow.model_versions
        same = and_(row.c.workspace == alias.c.workspace, row.c.name == alias.c.name, row.c.version == alias.c.version)
        found = select(alias.c.version.label("named"), *self.version_columns(row))
        here = (alias.c.workspace == WORKSPACE, alias.c.name == NAME, alias.c.alias == ALIAS)
        return self.compiled(found.select_from(alias.outerjoin(row, and_(same, _lives(row)))).where(*here))

    def latest(self) -> Statement:
        """The newest version of each stage of one model, with the first version of that stage."""
        first, newest, version = _newest(WORKSPACE, NAME)
        found = select(first.label("first"), *self.version_columns(version)).select_from(newest)
        return self.compiled(found)

    def location(self) -> Statement:
        """Where a version's artifacts lie."""
        row = mlflow.model_versions
        return self.compiled(select(row.c.storage_location, row.c.source).where(*_is(row), _lives(row)))

    def model(self) -> Statement:
        """One model by name."""
        row = mlflow.registered_models
        return self.compiled(
            select(*self.model_columns(row, first=True)).where(row.c.workspace == WORKSPACE, row.c.name == NAME)
        )

    def exists(self) -> Statement:
        """One row when there is a model of this name."""
        row = mlflow.registered_models
        return self.compiled(select(row.c.name).where(row.c.workspace == WORKSPACE, row.c.name == NAME))


def _each(inner: FromClause, gathered: ColumnElement[Any], of: Sequence[KeyedColumnElement[Any]]) -> ColumnElement[Any]:
    """What is gathered of the inner rows that agree with these columns of the row around them."""
    same = [inner.c[column.key] == column for column in of]
    return select(gathered).where(*same).correlate_except(inner).scalar_subquery()


def _is(row: FromClause) -> tuple[ColumnElement[bool], ...]:
    return row.c.workspace == WORKSPACE, row.c.name == NAME, row.c.version == VERSION


def _lives(row: FromClause) -> ColumnElement[bool]:
    return row.c.current_stage != DELETED


def _newest(
    workspace: ColumnElement[Any], name: ColumnElement[Any]
) -> tuple[ColumnElement[Any], FromClause, FromClause]:
    """For each stage: its first version, the rows to select from, and the newest version among them.

    Two looks into an index a stage, however many versions there are.
    """
    stages = union_all(*(select(literal_column(f"'{stage.value}'").label("stage")) for stage in Stage)).subquery("s")
    row = mlflow.model_versions.alias("v")

    def edge(of: Any) -> ColumnElement[Any]:
        inner = mlflow.model_versions.alias("e")
        here = (inner.c.workspace == workspace, inner.c.name == name, inner.c.current_stage == stages.c.stage)
        return select(of(inner.c.version)).where(*here).correlate_except(inner).scalar_subquery()

    same = and_(row.c.workspace == workspace, row.c.name == name, row.c.version == edge(func.max))
    return edge(func.min), stages.join(row, same), row
