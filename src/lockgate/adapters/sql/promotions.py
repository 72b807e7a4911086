"""Promotion rows: one open at most for a version and a stage, by an index rather than by good manners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, exists, func, or_, select, update

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.dialects import insert_if_new
from lockgate.adapters.sql.leases import Now, leased
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import promotion_columns, promotion_of
from lockgate.adapters.sql.sources import resolved
from lockgate.adapters.sql.tables import LIVING_NAME, OPEN_PROMOTION, models, promotions, versions
from lockgate.domain.errors import BadInput
from lockgate.domain.promotion import Claim, Kind, Promotion, PromotionState
from lockgate.domain.stages import GATED, Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import AlreadyOpen, Glimpse

FIRST_LEASE = timedelta(seconds=30)


def promotion_rows() -> Select[Any]:
    """Every promotion with the present name of its model as `model`, and that one's workspace."""
    named = (models.c.name.label("model"), models.c.workspace)
    return select(promotions, *named).join(models, models.c.id == promotions.c.model_id)


class SqlPromotions:
    """`Promotions`."""

    def __init__(self, connection: Connection, names: Names, now: Now) -> None:
        self._connection = connection
        self._names = names
        self._now = now

    def add(
        self, promotion: Promotion, *, due_at: datetime, claimed_by: str | None = None, lease: timedelta | None = None
    ) -> Claim | None:
        values = {
            "id": promotion.id,
            "model_id": self._names.ensure(promotion.ref.model),
            "due_at": due_at,
            **promotion_columns(promotion),
        }
        if claimed_by is not None:
            values |= leased(claimed_by, self._now(self._connection) + (lease or FIRST_LEASE)) | {"fence": 1}
        unique = [promotions.c.model_id, promotions.c.version, promotions.c.stage]
        if not insert_if_new(self._connection, promotions, values, unique, OPEN_PROMOTION):
            raise AlreadyOpen(f"{promotion.ref} has an open promotion to {promotion.stage}")
        return Claim(promotion.id, claimed_by, 1, self._names.workspace) if claimed_by is not None else None

    def glimpse(self, ref: VersionRef, stage: Stage) -> Glimpse | None:
        here = {"workspace": self._names.workspace, "name": ref.model, "version": ref.version, "stage": stage.value}
        row = self._connection.execute(_GLIMPSE, here).first()
        if row is None:
            return None
        location = resolved(self._connection, row.storage_location or row.source or "", self._names.workspace)
        held = None if row.stage is None else Stage(row.stage)
        return Glimpse(location, row.digest, held, bool(row.is_primary), row.goes_on)

    def get(self, id: str) -> Promotion | None:
        return self._first(_BY_ID, {"id": id, "workspace": self._names.workspace})

    def open_for(self, ref: VersionRef, stage: Stage) -> Promotion | None:
        here = {"model_id": self._names.key(ref.model), "version": ref.version, "stage": stage.value}
        return self._first(_OPEN_FOR, here)

    def open_of_model(self, model: str) -> Sequence[Promotion]:
        found = self._connection.execute(_OPEN_OF_MODEL, {"model_id": self._names.key(model)})
        return sorted((promotion_of(row) for row in found), key=lambda promotion: (promotion.asked_at, promotion.id))

    def recent(self, model: str | None, limit: int) -> Sequence[Promotion]:
        rows = promotion_rows().order_by(promotions.c.asked_at.desc(), promotions.c.id.desc()).limit(limit)
        here = models.c.workspace == self._names.workspace if model is None else self._of(model)
        return self._all(rows.where(here))

    def judged(self, *, since: datetime | None, after: str, limit: int) -> Sequence[Promotion]:
        rows = promotion_rows().where(*self._judged(since)).order_by(promotions.c.asked_at, promotions.c.id)
        if after:
            last = self.get(after)
            if last is None:
                raise BadInput(f"There is no promotion {after}.", hint="Ask for the first page, without it.")
            at = promotions.c.asked_at
            rows = rows.where(at >= last.asked_at, or_(at > last.asked_at, promotions.c.id > last.id))
        return self._all(rows.limit(limit))

    def count_judged(self, *, since: datetime | None) -> int:
        rows = select(func.count()).select_from(promotions).join(models, models.c.id == promotions.c.model_id)
        return self._connection.execute(rows.where(*self._judged(since))).scalar_one()

    def _judged(self, since: datetime | None) -> Iterator[ColumnElement[bool]]:
        yield models.c.workspace == self._names.workspace
        yield promotions.c.closed_at.is_not(None)
        yield promotions.c.verdict.is_not(None)
        yield promotions.c.stage.in_([stage.value for stage in GATED])
        # a rollback is not judged: it goes to what held its gates in its day
        yield promotions.c.kind != Kind.ROLLBACK.value
        if since is not None:
            yield promotions.c.asked_at >= since

    def keep(self, id: str) -> None:
        here = (promotions.c.id == id, OPEN_PROMOTION)
        self._connection.execute(update(promotions).where(*here).values(lasting=True))

    def due(self, model: str, now: datetime) -> int:
        waits = (PromotionState.WAITING.value, PromotionState.VALIDATING.value)
        waiting = (promotions.c.state.in_(waits), OPEN_PROMOTION)
        return self._connection.execute(update(promotions).where(self._of(model), *waiting).values(due_at=now)).rowcount

    def close(self, id: str, state: PromotionState, because: str, at: datetime) -> bool:
        values = {
            "state": state.value,
            "because": because,
            "state_since": at,
            "closed_at": at,
            "fence": promotions.c.fence + 1,
            **leased(None, None),
        }
        here = (promotions.c.id == id, OPEN_PROMOTION)
        return self._connection.execute(update(promotions).where(*here).values(values)).rowcount == 1

    def _of(self, model: str) -> ColumnElement[bool]:
        return promotions.c.model_id == self._names.key(model)

    def _first(self, rows: Select[Any], values: dict[str, Any]) -> Promotion | None:
        row = self._connection.execute(rows, values).first()
        return None if row is None else promotion_of(row)

    def _all(self, rows: Select[Any]) -> list[Promotion]:
        return [promotion_of(row) for row in self._connection.execute(rows)]


# made once: making a statement takes longer than running it
_BY_ID = promotion_rows().where(promotions.c.id == bindparam("id"), models.c.workspace == bindparam("workspace"))
# Not sorted here: for the sake of the order SQLite would read every promotion the model ever had. That versions are
# numbered from 1 says nothing new, and lets it find those that are open in the index that holds no others.
_OPEN_OF_MODEL = promotion_rows().where(
    promotions.c.model_id == bindparam("model_id"), promotions.c.version > 0, OPEN_PROMOTION
)
_OPEN_FOR = promotion_rows().where(
    promotions.c.model_id == bindparam("model_id"),
    promotions.c.version == bindparam("version"),
    promotions.c.stage == bindparam("stage"),
    OPEN_PROMOTION,
)
_theirs = mlflow.model_versions.c
_GOES_ON = exists().where(
    promotions.c.model_id == models.c.id,
    promotions.c.version == _theirs.version,
    promotions.c.stage == bindparam("stage"),
    OPEN_PROMOTION,
)
_named: Any = and_(models.c.workspace == _theirs.workspace, models.c.name == _theirs.name, LIVING_NAME)
_ours: Any = and_(
    versions.c.model_id == models.c.id, versions.c.version == _theirs.version, versions.c.deleted_at.is_(None)
)
_GLIMPSE = (
    select(
        *(_theirs.storage_location, _theirs.source),
        *(versions.c.stage, versions.c.is_primary, versions.c.digest),
        _GOES_ON.label("goes_on"),
    )
    .outerjoin_from(mlflow.model_versions, models, _named)
    .outerjoin(versions, _ours)
    .where(
        _theirs.workspace == bindparam("workspace"),
        _theirs.name == bindparam("name"),
        _theirs.version == bindparam("version"),
        _theirs.current_stage.is_distinct_from(mlflow.DELETED),
    )
)
