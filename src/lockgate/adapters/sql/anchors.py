"""What is kept of the places that checkpoints are written to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from lockgate.adapters.sql.anchors_tables import anchors
from lockgate.usecases.anchor_ports import Anchored


class SqlAnchors:
    """`Anchors`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> Sequence[Anchored]:
        rows = self._connection.execute(select(anchors).order_by(anchors.c.place))
        return [
            Anchored(
                *(row.place, row.size, row.anchored_at, row.attempted_at),
                *(row.due_at, row.failures, row.error, row.seen_at),
            )
            for row in rows
        ]

    def see(self, place: str, at: datetime) -> bool:
        seen = update(anchors).where(anchors.c.place == place).values(seen_at=at)
        if self._connection.execute(seen).rowcount:
            return False
        self._connection.execute(insert(anchors).values(place=place, due_at=at, seen_at=at))
        return True

    def claim(self, place: str, now: datetime, until: datetime) -> bool:
        due = (anchors.c.place == place, anchors.c.due_at <= now)
        taken = update(anchors).where(*due).values(due_at=until, attempted_at=now)
        return self._connection.execute(taken).rowcount == 1

    def written(self, place: str, size: int, at: datetime, due_at: datetime) -> None:
        values = {"size": size, "anchored_at": at, "due_at": due_at, "failures": 0, "error": ""}
        self._connection.execute(update(anchors).where(anchors.c.place == place).values(values))

    def failed(self, place: str, error: str, at: datetime, due_at: datetime) -> None:
        values = {"failures": anchors.c.failures + 1, "error": error, "attempted_at": at, "due_at": due_at}
        self._connection.execute(update(anchors).where(anchors.c.place == place).values(values))
