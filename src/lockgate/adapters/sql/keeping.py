"""The rule of retention, the models that are held, and removing the texts of entries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, String, cast, func, insert, literal, select, update

from lockgate.adapters.sql.anchors_tables import anchors
from lockgate.adapters.sql.keeping_tables import HELD, holds, retention
from lockgate.adapters.sql.names import Names, chain_of
from lockgate.adapters.sql.rows import who_columns, who_of
from lockgate.adapters.sql.tables import audit, models
from lockgate.adapters.sql.tree_tables import leaves
from lockgate.usecases.keeping_ports import Hold, Removable, Rule


class SqlKeeping:
    """`Keeping`."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def rule(self) -> Rule | None:
        row = self._connection.execute(select(retention).order_by(retention.c.id.desc()).limit(1)).first()
        if row is None:
            return None
        length = timedelta(seconds=row.seconds) if row.seconds is not None else None
        return Rule(length, who_of("set_by", row), row.set_at, row.reason)

    def set_rule(self, rule: Rule) -> None:
        seconds = int(rule.length.total_seconds()) if rule.length is not None else None
        values = {"seconds": seconds, **who_columns("set_by", rule.set_by), "set_at": rule.set_at}
        self._connection.execute(insert(retention).values(**values, reason=rule.reason))

    def holds(self) -> Sequence[Hold]:
        here = (HELD, models.c.workspace == self._names.workspace)
        rows = (
            select(holds, models.c.name.label("model"))
            .join(models, models.c.id == holds.c.model_id)
            .where(*here)
            .order_by(holds.c.added_at, holds.c.id)
        )
        return [
            Hold(row.id, row.model, row.reason, who_of("added_by", row), row.added_at)
            for row in self._connection.execute(rows)
        ]

    def hold(self, hold: Hold) -> bool:
        found = self._model(hold.model)
        if found is None:
            return False
        values = {"id": hold.id, "model_id": found, "reason": hold.reason, "added_at": hold.added_at}
        self._connection.execute(insert(holds).values(**values, **who_columns("added_by", hold.added_by)))
        return True

    def release(self, model: str, at: datetime) -> Sequence[Hold]:
        found = [each for each in self.holds() if each.model == model]
        if found:
            these = holds.c.id.in_([each.id for each in found])
            self._connection.execute(update(holds).where(these, HELD).values(released_at=at))
        return found

    def anchored(self) -> int:
        return int(self._connection.execute(select(func.coalesce(func.max(anchors.c.size), 0))).scalar_one())

    def removable(
        self, times: tuple[datetime | None, datetime], below: int, never: Collection[str], limit: int
    ) -> Sequence[Removable]:
        since, before = times
        held = select(literal(chain_of("")).concat(cast(holds.c.model_id, String))).where(HELD)
        rows = (
            select(audit.c.id, audit.c.chain, audit.c.number, audit.c.at)
            .join(leaves, leaves.c.entry == audit.c.id)
            .where(
                audit.c.at < before,
                audit.c.pruned_at.is_(None),
                leaves.c.position < below,
                audit.c.action.not_in(sorted(never)),
                audit.c.chain.not_in(held),
            )
            .order_by(audit.c.at, audit.c.id)
            .limit(limit)
        )
        if since is not None:
            rows = rows.where(audit.c.at >= since)
        return [Removable(row.id, row.chain, row.number, row.at) for row in self._connection.execute(rows)]

    def remove(self, rows: Collection[int], at: datetime) -> None:
        self._connection.execute(update(audit).where(audit.c.id.in_(sorted(rows))).values(text="", pruned_at=at))

    def removed(self) -> int:
        counted = select(func.count()).select_from(audit).where(audit.c.pruned_at.is_not(None))
        return self._connection.execute(counted).scalar_one()

    def _model(self, name: str) -> int | None:
        """The row of the model of that name, or of the last one that bore it."""
        rows = select(models.c.id).where(models.c.workspace == self._names.workspace, models.c.name == name)
        return self._connection.execute(
            rows.order_by(models.c.deleted_at.is_not(None), models.c.id.desc()).limit(1)
        ).scalar()
