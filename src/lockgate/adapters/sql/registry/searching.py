"""Builds the statement of a search: one for each shape, whatever the values are.

A page begins behind the last row seen, found in an index (keyset paging), so the thousandth page costs what the first
one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    String,
    Subquery,
    Table,
    UnaryExpression,
    and_,
    bindparam,
    case,
    false,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.sql.operators import custom_op

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.registry.statements import DELETED, WORKSPACE, Statement, Words
from lockgate.domain.search import NUMBERS, By, Compare, Condition, Either, Every, Search

Kind = Literal["models", "versions"]
_IS_PROMPT: ColumnElement[str] = literal_column(f"'{mlflow.IS_PROMPT}'")
_TRUE: ColumnElement[str] = literal_column("'true'")
_NOUGHT: ColumnElement[int] = literal_column("0")  # as it stands in the index on all versions
_ONE: ColumnElement[int] = literal_column("1")
_LIMIT = bindparam("size", type_=Integer)
_OFFSET = bindparam("offset", type_=BigInteger)
_COLUMNS = {"created": "creation_time", "updated": "last_updated_time", "stage": "current_stage"}
_NULLABLE = frozenset({"created", "updated"})
_NEGATIVE = {"!=": "=", "NOT IN": "IN"}
_SHAPES = 256  # statements kept: clients write few different searches, and someone may write many


class _Hole(NamedTuple):
    """Where values stood: searches that differ in nothing but the values are of one shape."""

    first: int
    many: int


@dataclass(frozen=True, slots=True)
class _Shape:
    kind: Kind
    condition: Condition
    order: tuple[By, ...]
    after: tuple[bool, ...] | None  # which of the fields is NULL
    offset: bool
    prompts: bool


def search(words: Words, kind: Kind, wanted: Search) -> tuple[Statement, dict[str, Any]]:
    """The statement for one page and one row more, and its values without the workspace."""
    condition, values = _emptied(wanted.condition)
    after = None if wanted.after is None else tuple(value is None for value in wanted.after)
    shape = _Shape(kind, condition, wanted.order, after, wanted.offset > 0, wanted.prompts)
    bound = {**values, "size": wanted.size + 1}
    if wanted.after is not None:
        bound |= {f"after{place}": value for place, value in enumerate(wanted.after) if value is not None}
    if wanted.offset:
        bound["offset"] = wanted.offset
    statement = _built(words.sqlite, shape)
    return statement, {**statement.constants, **bound}


@lru_cache(maxsize=1024)
def _emptied(condition: Condition) -> tuple[Condition, dict[str, Any]]:
    values: dict[str, Any] = {}
    return _emptied_part(condition, values), values


def _emptied_part(part: Condition, values: dict[str, Any]) -> Condition:
    match part:
        case Every(parts):
            return Every(tuple(_emptied_part(each, values) for each in parts))
        case Either(parts):
            return Either(tuple(_emptied_part(each, values) for each in parts))
        case Compare(field, comparator, value, tag):
            if tag:
                values[f"key{len(values)}"], field = field, f"key{len(values)}"
            each = value if isinstance(value, tuple) else (value,)
            hole = _Hole(len(values), len(each))
            values |= {f"value{hole.first + offset}": one for offset, one in enumerate(each)}
            return Compare(field, comparator, cast(Any, hole), tag)


@lru_cache(maxsize=_SHAPES)
def _built(sqlite: bool, shape: _Shape) -> Statement:
    words = Words(sqlite=sqlite)
    return words.compiled(_Builder(words, shape).query())


class _Builder:
    def __init__(self, words: Words, shape: _Shape) -> None:
        self._words = words
        self._shape = shape
        self._row: Table = mlflow.model_versions if shape.kind == "versions" else mlflow.registered_models
        self._key = ["name", "version"] if shape.kind == "versions" else ["name"]
        named = _pinned(shape.condition)
        self._is_named = "name" in named
        # within one model its name orders nothing, and an index on the rest is read from its end to its beginning
        self._order = [by for by in shape.order if not (self._is_named and by.field == "name")]
        self._places = {by.field: place for place, by in enumerate(shape.order)}
        # SQLite keeps no statistics of MLflow's tables and would rather walk all rows in order than sort the few; and
        # PostgreSQL's do not say that an alias is one version's
        self._sorts = bool(named & ({"run_id", "aliases", "names"} if words.sqlite else {"aliases"}))

    def query(self) -> Select[Any]:
        page = self._page()
        row = self._row.alias("r")
        same = [row.c.workspace == WORKSPACE, *(row.c[key] == page.c[key] for key in self._key)]
        columns = (
            self._words.version_columns(row)
            if self._shape.kind == "versions"
            else self._words.model_columns(row, first=False)
        )
        order = [_sorted(row.c[_column(by.field)], by) for by in self._shape.order]
        return select(*columns).select_from(page.join(row, and_(*same))).order_by(*order)

    def _page(self) -> Subquery:
        """The keys of the page's rows, before anything else of them is read."""
        if self._shape.after is None:
            first = self._keys()
            return (first.offset(_OFFSET) if self._shape.offset else first).subquery("page")
        stretches = [self._keys(stretch) for stretch in self._behind()]
        if len(stretches) == 1:
            return stretches[0].subquery("page")
        parts = [select(stretch.subquery()) for stretch in stretches]
        whole = union_all(*parts).subquery("parts")
        order = [_sorted(whole.c[_column(by.field)], by) for by in self._order]
        return select(whole).order_by(*order).limit(_LIMIT).subquery("page")

    def _keys(self, *stretch: ColumnElement[bool]) -> Select[Any]:
        wanted = dict.fromkeys([*self._key, *(_column(by.field) for by in self._order)])
        where = [self._row.c.workspace == WORKSPACE, *stretch]
        if self._shape.condition != Every(()):
            where.append(self._condition(self._shape.condition))
        if self._shape.kind == "versions":
            where.append(self._row.c.current_stage != DELETED)
            if not (self._is_named or self._sorts):
                where.append(self._row.c.version > _NOUGHT)
        if not self._shape.prompts:
            where.append(self._no_prompt())
        order = [_sorted(self._sorting(by), by) for by in self._order]
        return select(*(self._row.c[name] for name in wanted)).where(*where).order_by(*order).limit(_LIMIT)

    def _sorting(self, by: By) -> ColumnElement[Any]:
        column: ColumnElement[Any] = self._row.c[_column(by.field)]
        # `+column` has no index; PostgreSQL knows it of numbers
        is_bare = not self._sorts or not (self._words.sqlite or by.field in NUMBERS)
        return column if is_bare else UnaryExpression(column, operator=custom_op("+"))

    # --- paging -----------------------------------------------------------------------------------------------------

    def _behind(self) -> Iterator[ColumnElement[bool]]:
        """The stretches of the order that lie behind a row, each of them a range in an index on it."""
        for place in reversed(range(len(self._order))):
            equal = [self._equal(by) for by in self._order[:place]]
            for beyond in self._beyond(self._order[place]):
                yield and_(*equal, beyond)
        if not self._order:
            yield false()

    def _equal(self, by: By) -> ColumnElement[bool]:
        column = self._sorting(by)
        return column.is_(None) if self._was_null(by) else column == self._last(by)

    def _beyond(self, by: By) -> list[ColumnElement[bool]]:
        column = self._sorting(by)
        # SQLite has NULL below everything, PostgreSQL above
        nulls_come_last = by.ascending != self._words.sqlite
        if self._was_null(by):
            return [] if nulls_come_last else [column.is_not(None)]
        further = column > self._last(by) if by.ascending else column < self._last(by)
        return [further, column.is_(None)] if nulls_come_last and by.field in _NULLABLE else [further]

    def _was_null(self, by: By) -> bool:
        return bool(self._shape.after and self._shape.after[self._places[by.field]])

    def _last(self, by: By) -> ColumnElement[Any]:
        return bindparam(f"after{self._places[by.field]}", type_=_type(by.field))

    # --- conditions -------------------------------------------------------------------------------------------------

    def _condition(self, part: Condition) -> ColumnElement[bool]:
        match part:
            case Every(parts):
                return and_(true(), *(self._condition(each) for each in parts))
            case Either(parts):
                return or_(false(), *(self._condition(each) for each in parts))
            case Compare(tag=True):
                return self._tagged(part)
            case Compare(field="aliases"):
                return self._aliased(part)
            case Compare():
                return _compared(self._row.c[_column(part.field)], part, _type(part.field))

    def _tagged(self, part: Compare) -> ColumnElement[bool]:
        table = mlflow.model_version_tags if self._shape.kind == "versions" else mlflow.registered_model_tags
        tag = table.alias("t")
        key = tag.c.key == bindparam(part.field, type_=String)
        return self._with(tag, key, _compared(tag.c.value, part, String()))

    def _with(self, inner: FromClause, *where: ColumnElement[bool]) -> ColumnElement[bool]:
        same = [inner.c.workspace == WORKSPACE, *(inner.c[key] == self._row.c[key] for key in self._key)]
        return select(inner.c.name).where(*same, *where).correlate_except(inner).exists()

    def _aliased(self, part: Compare) -> ColumnElement[bool]:
        """Whether one of the aliases compares so; a negative comparator asks whether none does."""
        alias = mlflow.registered_model_aliases.alias("a")
        positive = _NEGATIVE.get(part.comparator, part.comparator)
        match_ = _compared(alias.c.alias, Compare(part.field, positive, part.value), String())
        if positive != part.comparator:
            return ~self._with(alias, match_)
        # few rows bear an alias: found from there, and not by looking at every version
        found = select(*(alias.c[key] for key in self._key)).where(alias.c.workspace == WORKSPACE, match_)
        return tuple_(*(self._row.c[key] for key in self._key)).in_(found)

    def _no_prompt(self) -> ColumnElement[bool]:
        """MLflow keeps prompts in the same tables, and tells them by a tag of the model or of any of its versions."""
        table = mlflow.model_version_tags if self._shape.kind == "versions" else mlflow.registered_model_tags
        tag = table.alias("p")
        where = (
            tag.c.workspace == WORKSPACE,
            tag.c.key == _IS_PROMPT,
            tag.c.name == self._row.c.name,
            tag.c.value == _TRUE,
        )
        # NOT EXISTS PostgreSQL may turn into a join, and then reads all rows before it gives the first ones; of a bare
        # IS NULL it believes that hardly any row passes
        found = select(tag.c.name).where(*where).correlate_except(tag).limit(_ONE).scalar_subquery()
        return case((found.is_(None), true()), else_=false())


def _compared(column: ColumnElement[Any], part: Compare, kind: Any) -> ColumnElement[bool]:
    hole = cast(_Hole, part.value)
    values = [bindparam(f"value{hole.first + offset}", type_=kind) for offset in range(hole.many)]
    match part.comparator:
        case "IN":
            return column.in_(values)
        case "NOT IN":
            return column.not_in(values)
        case "LIKE":
            return column.like(values[0])
        case "ILIKE":
            return column.ilike(values[0])
        case other:
            return column.op(other, is_comparison=True)(values[0])


def _pinned(condition: Condition) -> set[str]:
    """The fields that every match has one value in, and `names` where the name is one of a list."""
    parts: Sequence[Condition] = condition.parts if isinstance(condition, Every) else (condition,)
    found = set()
    for part in parts:
        match part:
            case Compare(field=field, comparator="=", tag=False):
                found.add(field)
            case Compare(field="name", comparator="IN"):
                found.add("names")
            case Compare(field=("run_id" | "aliases") as field, comparator="IN", tag=False):
                found.add(field)
    return found


def _column(field: str) -> str:
    return _COLUMNS.get(field, field)


def _type(field: str) -> Any:
    return BigInteger() if field in NUMBERS else String()


def _sorted(column: ColumnElement[Any], by: By) -> ColumnElement[Any]:
    return column.asc() if by.ascending else column.desc()
