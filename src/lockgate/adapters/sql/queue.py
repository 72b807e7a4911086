"""Leases on promotions, validations and measurements that are open: who holds one, and whose work no longer counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, case, func, select, update

from lockgate.adapters.sql.dialects import skipping_held
from lockgate.adapters.sql.engine_tables import OPEN_MEASUREMENT, measurements
from lockgate.adapters.sql.leases import leased
from lockgate.adapters.sql.measurements import measurement_columns, measurement_of, measurement_rows
from lockgate.adapters.sql.promotions import promotion_rows
from lockgate.adapters.sql.rows import promotion_columns, promotion_of, validation_columns, validation_of
from lockgate.adapters.sql.store import SqlStore, SqlWork
from lockgate.adapters.sql.tables import OPEN_PROMOTION, OPEN_VALIDATION, promotions, validations
from lockgate.adapters.sql.validations import validation_rows
from lockgate.domain.engines import Measurement
from lockgate.domain.promotion import Claim, Promotion
from lockgate.domain.validation import Validation
from lockgate.usecases.ports import LostClaim, Work


@dataclass(frozen=True, slots=True)
class _Line:
    """One table whose open rows are taken under a lease, in the order of one column."""

    table: Table
    is_open: ColumnElement[bool]
    by: str

    def free(self, now: datetime | ColumnElement[datetime]) -> Select[Any]:
        """The id of the row that is next: open, due, and leased by nobody or too long ago."""
        row = self.table.c
        unleased = row.lease_owner.is_(None) | (row.lease_until < now)
        return select(row.id).where(self.is_open, row[self.by] <= now, unleased).order_by(row[self.by], row.id).limit(1)

    def soonest(self) -> Select[Any]:
        """When the next of them may be free; without a row, not before one is added."""
        row = self.table.c
        held_until = case((row.lease_owner.is_not(None) & (row.lease_until > row[self.by]), row.lease_until))
        return select(func.min(func.coalesce(held_until, row[self.by]))).where(self.is_open)


_PROMOTIONS = _Line(promotions, OPEN_PROMOTION, "due_at")
_VALIDATIONS = _Line(validations, OPEN_VALIDATION, "asked_at")
_MEASUREMENTS = _Line(measurements, OPEN_MEASUREMENT, "asked_at")
_LINES = (_PROMOTIONS, _VALIDATIONS, _MEASUREMENTS)


class SqlQueue:
    """`Queue`. Two that claim at the same moment never get the same row."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._rests = {line.table.name: store.rest() for line in _LINES}

    def claim_promotion(self, owner: str, lease: timedelta) -> tuple[Promotion, Claim] | None:
        taken = self._claim(_PROMOTIONS, promotion_rows(), owner, lease)
        return None if taken is None else (promotion_of(taken), _claim_on(taken))

    def claim_validation(self, owner: str, lease: timedelta) -> tuple[Validation, Claim] | None:
        taken = self._claim(_VALIDATIONS, validation_rows(), owner, lease)
        return None if taken is None else (validation_of(taken), _claim_on(taken))

    def claim_measurement(self, owner: str, lease: timedelta) -> tuple[Measurement, Claim] | None:
        taken = self._claim(_MEASUREMENTS, measurement_rows(), owner, lease)
        return None if taken is None else (measurement_of(taken), _claim_on(taken))

    def renew(self, claim: Claim, lease: timedelta) -> bool:
        with self._store.changing() as work:
            values = leased(claim.owner, self._store.now(work.connection) + lease)
            return any(_write(work.connection, line.table, claim, values, line.is_open) for line in _LINES)

    def save_promotion(
        self, work: Work, claim: Claim, promotion: Promotion, *, due_at: datetime | None, release: bool
    ) -> None:
        connection = _connection(work)
        values = promotion_columns(promotion) | {"due_at": due_at or self._store.now(connection)}
        # somebody may have joined and made it lasting since it was claimed: `keep` wrote that
        del values["lasting"]
        self._save(connection, _PROMOTIONS, claim, values, release=release or values["closed_at"] is not None)

    def save_validation(self, work: Work, claim: Claim, validation: Validation, *, release: bool) -> None:
        values = validation_columns(validation)
        self._save(_connection(work), _VALIDATIONS, claim, values, release=release or values["finished_at"] is not None)

    def save_measurement(self, work: Work, claim: Claim, measurement: Measurement, *, release: bool) -> None:
        values = measurement_columns(measurement)
        over = release or values["finished_at"] is not None
        self._save(_connection(work), _MEASUREMENTS, claim, values, release=over)

    def _claim(self, line: _Line, rows: Select[Any], owner: str, lease: timedelta) -> Row[Any] | None:
        rest = self._rests[line.table.name]
        if rest.holds():
            return None
        mark = rest.mark()
        # looked at first without the write lock: an idle controller must not hold up the writers
        with self._store.glancing() as (connection, moment):
            if connection.execute(line.free(moment)).first() is None:
                soonest = connection.execute(line.soonest()).scalar()
                if soonest is None:
                    rest.begin(mark)
                else:
                    rest.begin(mark, (soonest - self._store.now(connection)).total_seconds())
                return None
        with self._store.changing() as work:
            now = self._store.now(work.connection)
            id = work.connection.execute(skipping_held(line.free(now))).scalar()
            if id is None:
                return None
            taken = leased(owner, now + lease) | {"fence": line.table.c.fence + 1}
            work.connection.execute(update(line.table).where(line.table.c.id == id).values(taken))
            return work.connection.execute(rows.where(line.table.c.id == id)).one()

    def _save(
        self, connection: Connection, line: _Line, claim: Claim, values: dict[str, Any], *, release: bool
    ) -> None:
        kept = values | (leased(None, None) if release else {})
        if not _write(connection, line.table, claim, kept, line.is_open):
            raise LostClaim(f"{claim.owner} no longer holds {claim.id}")


def _claim_on(row: Row[Any]) -> Claim:
    return Claim(row.id, row.lease_owner, row.fence, row.workspace)


def _write(
    connection: Connection, table: Table, claim: Claim, values: dict[str, Any], is_open: ColumnElement[bool]
) -> bool:
    """Change the row while the claim on it stands; False when it was lost, given back or closed."""
    stands = (table.c.id == claim.id, table.c.fence == claim.fence, table.c.lease_owner == claim.owner, is_open)
    return connection.execute(update(table).where(*stands).values(values)).rowcount == 1


def _connection(work: Work) -> Connection:
    if not isinstance(work, SqlWork):
        raise TypeError(f"a row of this queue is saved in a transaction of its own store, not in {type(work).__name__}")
    return work.connection
