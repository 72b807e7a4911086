"""The reads of the registry as steps: each asks for rows and is given them, whoever fetches them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from lockgate.adapters.sql.registry.searching import Kind, search
from lockgate.adapters.sql.registry.statements import Statement, Words
from lockgate.domain.registered import LatestRow, ModelRow, VersionRow
from lockgate.domain.search import Compare, Every, Search

T = TypeVar("T")
Rows: TypeAlias = Sequence[tuple[Any, ...]]


class Query(NamedTuple):
    """Rows asked for. A `light` query touches a few rows however large the registry is."""

    statement: Statement
    values: Mapping[str, Any]
    light: bool = True


Steps: TypeAlias = Generator[Query, Rows, T]
_LIGHT_ROWS = 200
_LIGHT_ORDERS = (("updated", "name", "version"), ("updated", "version"), ("name", "version"), ("version",), ("name",))


class RegistryReads:
    """What can be read of the registry. Every read is of one workspace, and takes one statement or two."""

    def __init__(self, *, sqlite: bool) -> None:
        self._words = Words(sqlite=sqlite)
        words = self._words
        self._version, self._aliased, self._latest = words.version(), words.aliased(), words.latest()
        self._location, self._model, self._exists = words.location(), words.model(), words.exists()

    def version(self, workspace: str, name: str, version: int) -> Steps[VersionRow | None]:
        """The version, or None when there is none or it was deleted."""
        values = {"workspace": workspace, "name": name, "version": version}
        rows = yield Query(self._version, values)
        return VersionRow(*rows[0]) if rows else None

    def aliased(self, workspace: str, name: str, alias: str) -> Steps[VersionRow | int | None]:
        """The version that an alias names; its number alone when that version is gone; None without such an alias."""
        rows = yield Query(self._aliased, {"workspace": workspace, "name": name, "alias": alias})
        if not rows:
            return None
        number, *row = rows[0]
        return int(number) if row[0] is None else VersionRow(*row)

    def latest(self, workspace: str, name: str) -> Steps[list[VersionRow]]:
        """The newest version of each stage, the stages in the order of their first versions."""
        rows = yield Query(self._latest, {"workspace": workspace, "name": name})
        found = [LatestRow(first, VersionRow(*row)) for first, *row in rows]
        return [latest.version for latest in sorted(found, key=lambda latest: latest.first)]

    def location(self, workspace: str, name: str, version: int) -> Steps[tuple[str | None, str | None] | None]:
        """Where the artifacts lie, and the source they were registered from; None when there is no such version."""
        values = {"workspace": workspace, "name": name, "version": version}
        rows = yield Query(self._location, values)
        return (rows[0][0], rows[0][1]) if rows else None

    def exists(self, workspace: str, name: str) -> Steps[bool]:
        """Whether there is a model of this name."""
        rows = yield Query(self._exists, {"workspace": workspace, "name": name})
        return bool(rows)

    def model(self, workspace: str, name: str) -> Steps[ModelRow | None]:
        """The model with the newest version of each stage, or None."""
        rows = yield Query(self._model, {"workspace": workspace, "name": name})
        return ModelRow(*rows[0]) if rows else None

    def search_models(self, workspace: str, wanted: Search) -> Steps[list[ModelRow]]:
        """The rows of one page, and one more when there is another page."""
        rows = yield self._search("models", workspace, wanted)
        return [ModelRow(*row) for row in rows]

    def search_versions(self, workspace: str, wanted: Search) -> Steps[list[VersionRow]]:
        """The rows of one page, and one more when there is another page."""
        rows = yield self._search("versions", workspace, wanted)
        return [VersionRow(*row) for row in rows]

    def _search(self, kind: Kind, workspace: str, wanted: Search) -> Query:
        statement, values = search(self._words, kind, wanted)
        return Query(statement, {**values, "workspace": workspace}, _is_light(wanted))


def _is_light(wanted: Search) -> bool:
    parts = wanted.condition.parts if isinstance(wanted.condition, Every) else (wanted.condition,)
    named = all(
        isinstance(part, Compare) and part.comparator == "=" and part.field in ("name", "run_id") for part in parts
    )
    indexed = tuple(by.field for by in wanted.order) in _LIGHT_ORDERS
    return named and indexed and wanted.size <= _LIGHT_ROWS and wanted.offset <= _LIGHT_ROWS
