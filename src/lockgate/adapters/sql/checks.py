"""Results from outside as rows: the newest of a name is the one that counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select

from lockgate.adapters.sql.checks_tables import checks
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import origin_columns, who_columns, who_of
from lockgate.domain.checks import Check
from lockgate.domain.versions import VersionRef


class SqlChecks:
    """`Checks`."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def add(self, ref: VersionRef, check: Check) -> None:
        values = {
            "model_id": self._names.ensure(ref.model),
            "version": ref.version,
            "name": check.name,
            "passed": check.passed,
            **who_columns("who", check.who),
            **origin_columns("who", check.who),
            "at": check.at,
            "digest": check.digest,
            "url": check.url,
            "comment": check.comment,
        }
        self._connection.execute(_ADD, values)

    def latest(self, ref: VersionRef) -> Sequence[Check]:
        return [_check_of(row) for row in self._connection.execute(_LATEST, self._of(ref))]

    def history(self, ref: VersionRef, limit: int = 100) -> Sequence[Check]:
        return [_check_of(row) for row in self._connection.execute(_HISTORY, {**self._of(ref), "most": limit})]

    def _of(self, ref: VersionRef) -> dict[str, Any]:
        return {"of": self._names.key(ref.model), "number": ref.version}


def _check_of(row: Row[Any]) -> Check:
    return Check(row.name, row.passed, who_of("who", row), row.at, row.digest, row.url, row.comment)


# made once: making a statement takes longer than running it
_ADD = insert(checks).inline()
_THESE = (checks.c.model_id == bindparam("of"), checks.c.version == bindparam("number"))
# by number, not by time: a clock may go backwards
_NEWEST = select(func.max(checks.c.id)).where(*_THESE).group_by(checks.c.name)
_LATEST = select(checks).where(checks.c.id.in_(_NEWEST)).order_by(checks.c.name)
_HISTORY = select(checks).where(*_THESE).order_by(checks.c.id.desc()).limit(bindparam("most"))
