"""The statements of `rows.py`, each made once: making one takes longer than running it.

`within` is the workspace, `named` the model, `number` the version: a value must not bear the name of a column it is
written to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from mlflow.entities.model_registry.model_version_stages import ALL_STAGES, STAGE_DELETED_INTERNAL
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModel,
    SqlRegisteredModelAlias,
    SqlRegisteredModelTag,
)
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

models: Table = SqlRegisteredModel.__table__
versions: Table = SqlModelVersion.__table__
model_tags: Table = SqlRegisteredModelTag.__table__
version_tags: Table = SqlModelVersionTag.__table__
aliases: Table = SqlRegisteredModelAlias.__table__


def _of(table: FromClause) -> tuple[ColumnElement[bool], ...]:
    """The rows under one model's name."""
    return table.c.workspace == bindparam("within"), table.c.name == bindparam("named")


def _one(table: FromClause) -> tuple[ColumnElement[bool], ...]:
    """The rows of one version."""
    return *_of(table), table.c.version == bindparam("number")


_LIVES = versions.c.current_stage != STAGE_DELETED_INTERNAL
_AT: BindParameter[Any] = bindparam("at")
_TEXT: BindParameter[Any] = bindparam("text")

HAS_MODEL = select(models.c.name).where(*_of(models))
MODEL = select(models).where(*_of(models))
MODEL_TAGS = select(model_tags.c.key, model_tags.c.value).where(*_of(model_tags))
MODEL_ALIASES = select(aliases.c.alias, aliases.c.version).where(*_of(aliases)).order_by(aliases.c.alias)
TOUCH_MODEL = update(models).where(*_of(models)).values(last_updated_time=_AT)
MODEL_DESCRIPTION = select(models.c.description).where(*_of(models))
DESCRIBE_MODEL = update(models).where(*_of(models)).values(description=_TEXT, last_updated_time=_AT)
RENAME_MODEL = update(models).where(*_of(models)).values(name=bindparam("new_name"), last_updated_time=_AT)
TOUCH_VERSIONS = update(versions).where(*_of(versions)).values(last_updated_time=_AT)
DELETE_MODEL = tuple(
    delete(table).where(*_of(table)) for table in (version_tags, versions, aliases, model_tags, models)
)
_MODEL_TAG = (*_of(model_tags), model_tags.c.key == bindparam("tag"))
DELETE_MODEL_TAG = delete(model_tags).where(*_MODEL_TAG).returning(model_tags.c.value)

HAS_VERSION = select(versions.c.version).where(*_one(versions), _LIVES)
NEXT = select(func.coalesce(func.max(versions.c.version), 0) + 1).where(*_of(versions))
VERSION_DESCRIPTION = select(versions.c.description).where(*_one(versions), _LIVES)
DESCRIBE_VERSION = update(versions).where(*_one(versions), _LIVES).values(description=_TEXT, last_updated_time=_AT)
# every other column that MLflow empties is a value of this one's
DELETE_VERSION = update(versions).where(*_one(versions), _LIVES)
_VERSION_TAG = (*_one(version_tags), version_tags.c.key == bindparam("tag"))
DELETE_VERSION_TAG = delete(version_tags).where(*_VERSION_TAG).returning(version_tags.c.value)
_THESE: BindParameter[Any] = bindparam("numbers", expanding=True)
VERSIONS = select(versions).where(*_of(versions), versions.c.version.in_(_THESE))
TAGS_OF_VERSIONS = select(version_tags.c.version, version_tags.c.key, version_tags.c.value).where(
    *_of(version_tags), version_tags.c.version.in_(_THESE)
)

HOLDER = select(aliases.c.version).where(*_of(aliases), aliases.c.alias == bindparam("alias"))
DELETE_ALIAS = delete(aliases).where(*_of(aliases), aliases.c.alias == bindparam("alias"))
DELETE_ALIASES_OF = delete(aliases).where(*_one(aliases))


def _edge(of: Any, stage: str) -> ColumnElement[Any]:
    inner = versions.alias()
    here = (inner.c.workspace == bindparam("within"), inner.c.name == bindparam("named"))
    return select(of(inner.c.version)).where(*here, inner.c.current_stage == stage).scalar_subquery()


# two looks into an index for each stage, however many versions there are: its first version, and its newest
EDGES = select(
    *(_edge(func.min, stage) for stage in ALL_STAGES),
    *(_edge(func.max, stage) for stage in ALL_STAGES),
)


def _version(dialect: str) -> Any:
    """One version with its tags and aliases, each a list in JSON; of no rows it may be NULL."""
    pair, gathered = func.json_array, func.json_group_array
    if dialect != "sqlite":
        pair, gathered = func.json_build_array, func.json_agg
    tags = select(cast(gathered(pair(version_tags.c.key, version_tags.c.value)), Text)).where(*_one(version_tags))
    names = select(cast(gathered(aliases.c.alias), Text)).where(*_one(aliases))
    columns = (versions, tags.scalar_subquery().label("tags"), names.scalar_subquery().label("aliases"))
    return select(*columns).where(*_one(versions), _LIVES)


@dataclass(frozen=True, slots=True)
class Words:
    """The statements in which SQLite and PostgreSQL differ: mostly, a row is written, or changed where it is there."""

    add_model: Any
    add_model_tag: Any
    add_version: Any
    # takes the next number and touches the model as well, where a database can do so in one statement
    add_next_version: Any
    add_version_tag: Any
    set_model_tag: Any
    set_version_tag: Any
    set_alias: Any
    version: Any
    # what a tag was, to be asked before it is set; None where the statement that sets it gives it back
    model_tag: Any
    version_tag: Any


def _add_next_version() -> Any:
    """For PostgreSQL. A value is named for its column after `new_`: under its own name it would be set on the model."""
    written = [column for column in versions.c if column.name not in ("workspace", "name", "version")]
    values: list[Any] = [bindparam(f"new_{column.name}", type_=column.type) for column in written]
    changed = update(models).where(*_of(models)).values(last_updated_time=bindparam("new_last_updated_time"))
    touched = changed.returning(models.c.workspace, models.c.name).cte("touched")
    row = select(touched.c.workspace, touched.c.name, NEXT.scalar_subquery(), *values)
    new = postgresql.insert(versions).from_select(["workspace", "name", "version", *(c.name for c in written)], row)
    return new.on_conflict_do_nothing().returning(versions.c.version)


@cache
def words_for(dialect: str) -> Words:
    """The statements for a dialect: SQLite's, or PostgreSQL's."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert

    def add(table: Table) -> Any:
        return insert(table).on_conflict_do_nothing().inline().execution_options(preserve_rowcount=True)

    def put(table: Table, source: Any, columns: list[str], column: str, before: Any = None) -> Any:
        """Write a row made of what is there: no row is written where there is nothing to hang it on.

        With `before` it gives back what that finds; on PostgreSQL that is what was so before the statement began.
        """
        new = insert(table).from_select(columns, source)
        keys = list(table.primary_key.columns)
        written = new.on_conflict_do_update(index_elements=keys, set_={column: new.excluded[column]})
        if before is not None:
            return written.returning(before.scalar_subquery())
        return written.execution_options(preserve_rowcount=True)

    def held(of: FromClause, *named: ColumnElement[bool]) -> Any:
        return select(of.c.value).where(*named, of.c.key == bindparam("tag"))

    # a value that is selected has no column to take its type from
    tag, text = bindparam("tag", type_=model_tags.c.key.type), bindparam("text", type_=version_tags.c.value.type)
    alias = bindparam("alias", type_=aliases.c.alias.type)
    is_sqlite = dialect == "sqlite"
    # by another name, or the one table would be taken for the other's
    model_before, version_before = model_tags.alias(), version_tags.alias()
    model_tag = held(model_before, *_of(model_before))
    version_tag = held(version_before, *_one(version_before))
    model = select(models.c.workspace, models.c.name, tag, text).where(*_of(models))
    version = (versions.c.workspace, versions.c.name, versions.c.version)
    return Words(
        add_model=add(models),
        add_model_tag=add(model_tags),
        add_version=add(versions),
        add_next_version=None if dialect == "sqlite" else _add_next_version(),
        add_version_tag=add(version_tags),
        set_model_tag=put(
            model_tags, model, ["workspace", "name", "key", "value"], "value", None if is_sqlite else model_tag
        ),
        set_version_tag=put(
            version_tags,
            select(*version, tag, text).where(*_one(versions), _LIVES),
            ["workspace", "name", "version", "key", "value"],
            "value",
            None if is_sqlite else version_tag,
        ),
        set_alias=put(
            aliases,
            select(*version, alias).where(*_one(versions), _LIVES),
            ["workspace", "name", "version", "alias"],
            "version",
        ),
        version=_version(dialect),
        model_tag=model_tag if is_sqlite else None,
        version_tag=version_tag if is_sqlite else None,
    )
