"""The past as rows and record tell it together: who was in which stage, what served, and what a promotion left."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, String, cast, literal, or_, select

from lockgate.adapters.sql.approvals import SqlApprovals
from lockgate.adapters.sql.names import Names, chain_of
from lockgate.adapters.sql.promotions import promotion_rows
from lockgate.adapters.sql.record import recorded_of
from lockgate.adapters.sql.rows import promotion_of, validation_of
from lockgate.adapters.sql.tables import artifacts, audit, models, policies, promotions, stays, validations, versions
from lockgate.adapters.sql.tree_tables import leaves
from lockgate.adapters.sql.validations import validation_rows
from lockgate.domain.approvals import ApprovalRequest
from lockgate.domain.audit import SYSTEM
from lockgate.domain.manifest import Manifest, PinnedFile
from lockgate.domain.promotion import Promotion
from lockgate.domain.stages import Stage
from lockgate.domain.validation import Validation
from lockgate.usecases.adoption_ports import ADOPTED, MADE
from lockgate.usecases.history_ports import KeptPolicy, PastModel, Stay
from lockgate.usecases.ports import Recorded

_AT_A_TIME = 1_000
_SERVING = ("deployment:committed", "endpoint:retired", "model:deleted")


class SqlHistory:
    """`History`."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def began(self) -> Recorded | None:
        first = (
            select(audit)
            .where(audit.c.action.in_([MADE, ADOPTED]), audit.c.chain == SYSTEM)
            .order_by(audit.c.id)
            .limit(1)
        )
        row = self._connection.execute(first).first()
        return None if row is None else recorded_of(row)

    def models(self, at: datetime) -> Sequence[PastModel]:
        here = (
            models.c.workspace == self._names.workspace,
            or_(models.c.deleted_at.is_(None), models.c.deleted_at > at),
        )
        rows = self._connection.execute(select(models).where(*here).order_by(models.c.name, models.c.id))
        return [PastModel(row.id, row.name, row.deleted_at) for row in rows]

    def renamed_after(self, at: datetime) -> Mapping[str, str]:
        found: dict[str, str] = {}
        rows = select(audit).where(audit.c.action == "model:renamed", audit.c.at > at)
        for row in self._connection.execute(rows.order_by(audit.c.chain, audit.c.number)):
            found.setdefault(row.chain, row.model)
        return found

    def stays(self, at: datetime, stages: Collection[Stage], models: Collection[int]) -> Sequence[Stay]:
        return [stay for part in _parts(sorted(models)) for stay in self._stays(at, stages, part)]

    def deployments(self, at: datetime, chain: str | None = None) -> Iterator[Recorded]:
        rows = select(audit).where(audit.c.action.in_(_SERVING), audit.c.at <= at)
        rows = rows.where(audit.c.chain == chain if chain is not None else audit.c.chain.in_(self._chains()))
        return self._stream(rows.order_by(audit.c.chain, audit.c.number))

    def last_move(self, chain: str, at: datetime, versions: Collection[int], stage: Stage) -> int | None:
        here = (audit.c.chain == chain, audit.c.action == "version:transitioned", audit.c.at <= at)
        rows = select(audit).where(*here, audit.c.version.in_(sorted(versions))).order_by(audit.c.number.desc())
        with closing(self._stream(rows)) as entries:
            for entry in entries:
                if entry.plain.get("after", entry.plain.get("to")) == stage.value:
                    version = entry.plain["version"]
                    return version if isinstance(version, int) else None
        return None

    def promotion(self, id: str) -> tuple[Promotion, PastModel] | None:
        row = self._connection.execute(
            promotion_rows()
            .add_columns(models.c.deleted_at)
            .where(promotions.c.id == id, models.c.workspace == self._names.workspace)
        ).first()
        return None if row is None else (promotion_of(row), PastModel(row.model_id, row.model, row.deleted_at))

    def closed(self, since: datetime | None, until: datetime) -> Sequence[str]:
        here = [models.c.workspace == self._names.workspace, promotions.c.closed_at <= until]
        here += [promotions.c.closed_at >= since] if since is not None else []
        rows = select(promotions.c.id).join(models, models.c.id == promotions.c.model_id).where(*here)
        return sorted(self._connection.execute(rows).scalars())

    def requests(self, model: int, version: int) -> Sequence[ApprovalRequest]:
        return SqlApprovals(self._connection, self._names).of_row(model, version)

    def validations(self, model: int, version: int) -> Sequence[Validation]:
        here = (validations.c.model_id == model, validations.c.version == version)
        rows = validation_rows().where(*here).order_by(validations.c.asked_at.desc(), validations.c.id.desc())
        return [validation_of(row) for row in self._connection.execute(rows)]

    def manifest(self, model: int, version: int) -> Manifest | None:
        pinned = select(versions.c.digest).where(versions.c.model_id == model, versions.c.version == version)
        if self._connection.execute(pinned).scalar() is None:
            return None
        files = select(artifacts).where(artifacts.c.model_id == model, artifacts.c.version == version)
        return Manifest.of(PinnedFile(row.path, row.size, row.sha256) for row in self._connection.execute(files))

    def policy(self, digest: str) -> KeptPolicy | None:
        rows = select(policies).where(policies.c.digest == digest).order_by(policies.c.id).limit(1)
        row = self._connection.execute(rows).first()
        return None if row is None else KeptPolicy(row.digest, row.text, row.applied_by, row.applied_at)

    def positions(self, chain: str, numbers: Collection[int]) -> Mapping[int, int]:
        found: dict[int, int] = {}
        for part in _parts(sorted(numbers)):
            placed = select(audit.c.number, leaves.c.position).join(leaves, leaves.c.entry == audit.c.id)
            rows = self._connection.execute(placed.where(audit.c.chain == chain, audit.c.number.in_(part)))
            found |= {row.number: row.position for row in rows}
        return found

    def entries(self, chain: str, version: int, until: datetime, limit: int) -> Sequence[Recorded]:
        here = (audit.c.chain == chain, audit.c.version == version, audit.c.at <= until)
        newest = select(audit).where(*here).order_by(audit.c.number.desc()).limit(limit)
        return list(self._stream(newest))[::-1]

    def _stays(self, at: datetime, stages: Collection[Stage], models_: Sequence[int]) -> list[Stay]:
        rows = (
            select(
                *(stays, versions.c.provenance, versions.c.digest),
                *(models.c.name, models.c.deleted_at),
            )
            .join(models, models.c.id == stays.c.model_id)
            .join(versions, (versions.c.model_id == stays.c.model_id) & (versions.c.version == stays.c.version))
            .where(
                models.c.workspace == self._names.workspace,
                stays.c.model_id.in_(models_),
                stays.c.stage.in_([stage.value for stage in stages]),
                stays.c.entered_at <= at,
                or_(stays.c.left_at.is_(None), stays.c.left_at > at),
            )
            .order_by(stays.c.model_id, stays.c.entered_at, stays.c.version)
        )
        return [_stay(row) for row in self._connection.execute(rows)]

    def _chains(self) -> Select[Any]:
        """The chains of all models that this workspace ever had."""
        here = models.c.workspace == self._names.workspace
        return select(literal(chain_of("")).concat(cast(models.c.id, String))).where(here)

    def _stream(self, rows: Select[Any]) -> Generator[Recorded, None, None]:
        with self._connection.execute(rows.execution_options(yield_per=_AT_A_TIME)) as found:
            for row in found:
                yield recorded_of(row)


def _stay(row: Row[Any]) -> Stay:
    model = PastModel(row.model_id, row.name, row.deleted_at)
    return Stay(
        model,
        row.version,
        Stage(row.stage),
        row.entered_at,
        row.left_at,
        row.promotion or "",
        row.provenance,
        row.digest,
    )


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """So many at a time: a statement takes a limited number of values."""
    return (ids[start : start + _AT_A_TIME] for start in range(0, len(ids), _AT_A_TIME))
