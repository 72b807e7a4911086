"""Which places belong to registered versions: one row each, so that a look-up costs what the path is deep."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, exists, or_, select, update

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.dialects import insert_or_replace
from lockgate.adapters.sql.tables import sources
from lockgate.domain.places import is_one_versions, leading_to, place_of, within
from lockgate.domain.versions import VersionRef
from lockgate.usecases.artifact_ports import Held

_RUNS = re.compile(r"^runs:/{1,3}(?P<run>[0-9a-zA-Z_-]{1,32})/?(?P<path>.*)$", re.DOTALL)
_AT_ONCE = 20_000


class SqlSources:
    """`Sources` on our table, held against MLflow's rows: what was deleted there protects nothing."""

    def __init__(self, connection: Connection, workspace: str) -> None:
        self._connection = connection
        self._workspace = workspace

    def holder(self, places: Iterable[str], roots: Iterable[str] = ()) -> Held | None:
        names = tuple(roots)
        above = {each for place in places for each in leading_to(place)}
        wanted = {each for each in above if is_one_versions(each, names)}
        return self._first(sources.c.place.in_(sorted(wanted)))

    def below(self, places: Iterable[str]) -> Held | None:
        inside = []
        for place in places:
            start = place.rstrip("/") + "/"
            # the character after the slash is the first that begins no path below it
            inside.append(and_(sources.c.place >= start, sources.c.place < start[:-1] + chr(ord("/") + 1)))
        return self._first(or_(*inside))

    def put(self, ref: VersionRef, location: str | None = None) -> None:
        """Note the place of a version: the location, or what MLflow's row names. Already there is no error."""
        if location is not None:
            self._put([self.row(ref, location)])
            return
        here = {"in": self._workspace, "of": ref.model, "number": ref.version}
        self._put([self._row(row) for row in self._connection.execute(_ONE, here)])

    def row(self, ref: VersionRef, location: str) -> dict[str, Any]:
        """The row of a version whose artifacts lie there."""
        return self._held(self._workspace, ref.model, ref.version, location)

    def rename(self, old: str, new: str) -> None:
        """A model's rows go along with its name."""
        of = sources.c.workspace == self._workspace
        # left over from a model that bore the name once
        self._connection.execute(delete(sources).where(of, sources.c.name == new))
        self._connection.execute(update(sources).where(of, sources.c.name == old).values(name=new))

    def any_missing(self) -> bool:
        return self._connection.execute(_MISSING.limit(1)).first() is not None

    def adopt(self) -> int:
        rows = self._connection.execute(_MISSING.limit(_AT_ONCE)).all()
        self._put([self._row(row) for row in rows])
        return len(rows)

    def _put(self, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            # a row may be left over from a model of that name that was deleted
            write = insert_or_replace(self._connection, sources, "place")
            self._connection.execute(write, rows if len(rows) > 1 else rows[0])

    def _row(self, row: Any) -> dict[str, Any]:
        return self._held(row.workspace, row.name, row.version, row.storage_location or row.source or "")

    def _held(self, workspace: str, model: str, version: int, location: str) -> dict[str, Any]:
        place = place_of(resolved(self._connection, location, workspace))
        # a version of nothing has a row as well, so that it is not looked at again
        kept = place if place is not None and is_one_versions(place) else ""
        return {"workspace": workspace, "name": model, "version": version, "place": kept}

    def _first(self, here: ColumnElement[bool]) -> Held | None:
        table = mlflow.model_versions.c
        there = exists().where(_same(sources.c, table), table.current_stage.is_distinct_from(mlflow.DELETED))
        row = self._connection.execute(select(sources).where(here, there).limit(1)).first()
        return None if row is None else Held(VersionRef(row.name, row.version), row.workspace)


def resolved(connection: Connection, location: str, workspace: str) -> str:
    """The location as that workspace means it, or where the run keeps its artifacts whose name it bears (`runs:/…`)."""
    named = _RUNS.match(location)
    if named is None:
        return within(location, workspace)
    table = mlflow.runs.c
    found = connection.execute(select(table.artifact_uri).where(table.run_uuid == named["run"])).scalar()
    return location if not found else within(f"{str(found).rstrip('/')}/{named['path']}".rstrip("/"), workspace)


def _same(ours: Any, theirs: Any) -> ColumnElement[bool]:
    return and_(ours.workspace == theirs.workspace, ours.name == theirs.name, ours.version == theirs.version)


_THEIRS = mlflow.model_versions.c
_FOUND = select(_THEIRS.workspace, _THEIRS.name, _THEIRS.version, _THEIRS.storage_location, _THEIRS.source)
# made once: making a statement takes longer than running it
_ONE = _FOUND.where(
    _THEIRS.workspace == bindparam("in"), _THEIRS.name == bindparam("of"), _THEIRS.version == bindparam("number")
)
_MISSING = _FOUND.where(
    ~exists().where(_same(sources.c, _THEIRS)), _THEIRS.current_stage.is_distinct_from(mlflow.DELETED)
)
