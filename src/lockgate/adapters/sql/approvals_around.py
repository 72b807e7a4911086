"""Rows around approvals: who stands in for whom, broken glass, and policies that wait for a second person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from lockgate.adapters.sql.approvals_tables import NOT_ENDED, UNREVIEWED, delegations, glasses, proposals
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import who_columns, who_of
from lockgate.adapters.sql.tables import models
from lockgate.domain.approvals import Delegation
from lockgate.domain.break_glass import BreakGlass
from lockgate.domain.identity import Who
from lockgate.domain.proposals import Proposal, ProposalState
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef


class SqlDelegations:
    """`Delegations`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, delegation: Delegation) -> None:
        values = {
            "id": delegation.id,
            **who_columns("giver", delegation.giver),
            "taker": delegation.to,
            "reason": delegation.reason,
            "at": delegation.at,
            "until": delegation.until,
            "ended_at": delegation.ended_at,
        }
        self._connection.execute(insert(delegations).values(values))

    def get(self, id: str) -> Delegation | None:
        return next(iter(self._all(select(delegations).where(delegations.c.id == id))), None)

    def to(self, name: str) -> Sequence[Delegation]:
        return self._all(select(delegations).where(NOT_ENDED, delegations.c.taker == name).order_by(*_LATEST_FIRST))

    def of(self, giver: str) -> Sequence[Delegation]:
        return self._all(select(delegations).where(NOT_ENDED, delegations.c.giver == giver).order_by(*_LATEST_FIRST))

    def recent(self, limit: int = 100) -> Sequence[Delegation]:
        return self._all(select(delegations).order_by(*_LATEST_FIRST).limit(limit))

    def end(self, id: str, at: datetime) -> None:
        self._connection.execute(update(delegations).where(delegations.c.id == id).values(ended_at=at))

    def _all(self, rows: Select[Any]) -> list[Delegation]:
        return [
            Delegation(row.id, who_of("giver", row), row.taker, row.reason, row.at, row.until, row.ended_at)
            for row in self._connection.execute(rows)
        ]


class SqlGlasses:
    """`Glasses`."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def add(self, glass: BreakGlass) -> None:
        values = {"id": glass.id, "model_id": self._names.ensure(glass.ref.model), **_glass_columns(glass)}
        self._connection.execute(insert(glasses).values(values))

    def save(self, glass: BreakGlass) -> None:
        self._connection.execute(update(glasses).where(glasses.c.id == glass.id).values(_glass_columns(glass)))

    def get(self, id: str) -> BreakGlass | None:
        return next(iter(self._all(self._rows().where(glasses.c.id == id))), None)

    def of_promotion(self, promotion: str) -> BreakGlass | None:
        if not promotion:
            return None
        return next(iter(self._all(self._rows().where(glasses.c.promotion == promotion))), None)

    def broken(self, ref: VersionRef, stage: Stage) -> BreakGlass | None:
        here = (glasses.c.version == ref.version, glasses.c.stage == stage.value)
        unused = (glasses.c.confirmed_at.is_not(None), glasses.c.used_at.is_(None))
        of_model = glasses.c.model_id == self._names.key(ref.model)
        rows = self._rows().where(of_model, *here, *unused).order_by(glasses.c.asked_at.desc(), glasses.c.id.desc())
        return next(iter(self._all(rows.limit(1))), None)

    def recent(self, limit: int = 100, model: str | None = None) -> Sequence[BreakGlass]:
        rows = self._rows().order_by(glasses.c.asked_at.desc(), glasses.c.id.desc()).limit(limit)
        if model is not None:
            rows = rows.where(glasses.c.model_id == self._names.key(model))
        return self._all(rows)

    def unreviewed(self, limit: int = 100) -> Sequence[BreakGlass]:
        rows = self._rows().where(UNREVIEWED).order_by(glasses.c.confirmed_at, glasses.c.id).limit(limit)
        return self._all(rows)

    def _rows(self) -> Select[Any]:
        # those of a model that was deleted are still to be reviewed
        named = select(glasses, models.c.name.label("model")).join(models, models.c.id == glasses.c.model_id)
        return named.where(models.c.workspace == self._names.workspace)

    def _all(self, rows: Select[Any]) -> list[BreakGlass]:
        return [_glass_of(row) for row in self._connection.execute(rows)]


class SqlProposals:
    """`Proposals`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, proposal: Proposal) -> None:
        self._connection.execute(insert(proposals).values({"id": proposal.id, **_proposal_columns(proposal)}))

    def save(self, proposal: Proposal) -> None:
        here = proposals.c.id == proposal.id
        self._connection.execute(update(proposals).where(here).values(_proposal_columns(proposal)))

    def get(self, id: str) -> Proposal | None:
        return next(iter(self._all(select(proposals).where(proposals.c.id == id))), None)

    def open(self) -> Proposal | None:
        newest = next(iter(self.recent(1)), None)
        return newest if newest is not None and newest.state is ProposalState.OPEN else None

    def recent(self, limit: int = 100) -> Sequence[Proposal]:
        newest_first = (proposals.c.proposed_at.desc(), proposals.c.id.desc())
        return self._all(select(proposals).order_by(*newest_first).limit(limit))

    def _all(self, rows: Select[Any]) -> list[Proposal]:
        return [_proposal_of(row) for row in self._connection.execute(rows)]


_LATEST_FIRST = (delegations.c.at.desc(), delegations.c.id.desc())


def _glass_columns(glass: BreakGlass) -> dict[str, Any]:
    return {
        "version": glass.ref.version,
        "stage": glass.stage.value,
        **who_columns("asked_by", glass.asked_by),
        "reason": glass.reason,
        "asked_at": glass.asked_at,
        "expires_at": glass.expires_at,
        "artifacts": glass.artifacts,
        **_later_columns("confirmed_by", glass.confirmed_by),
        "confirmed_at": glass.confirmed_at,
        "promotion": glass.promotion,
        "used_at": glass.used_at,
        **_later_columns("reviewed_by", glass.reviewed_by),
        "reviewed_at": glass.reviewed_at,
        "review": glass.review,
        "overdue_noted_at": glass.overdue_noted_at,
    }


def _glass_of(row: Row[Any]) -> BreakGlass:
    return BreakGlass(
        id=row.id,
        ref=VersionRef(row.model, row.version),
        stage=Stage(row.stage),
        asked_by=who_of("asked_by", row),
        reason=row.reason,
        asked_at=row.asked_at,
        expires_at=row.expires_at,
        artifacts=row.artifacts,
        confirmed_by=_later_of("confirmed_by", row),
        confirmed_at=row.confirmed_at,
        promotion=row.promotion,
        used_at=row.used_at,
        reviewed_by=_later_of("reviewed_by", row),
        reviewed_at=row.reviewed_at,
        review=row.review,
        overdue_noted_at=row.overdue_noted_at,
    )


def _proposal_columns(proposal: Proposal) -> dict[str, Any]:
    return {
        "digest": proposal.digest,
        "text": proposal.text,
        "before": proposal.before,
        **who_columns("proposed_by", proposal.proposed_by),
        "proposed_at": proposal.proposed_at,
        "reason": proposal.reason,
        "state": proposal.state.value,
        **_later_columns("decided_by", proposal.decided_by),
        "decided_at": proposal.decided_at,
        "comment": proposal.comment,
    }


def _proposal_of(row: Row[Any]) -> Proposal:
    return Proposal(
        id=row.id,
        digest=row.digest,
        text=row.text,
        before=row.before,
        proposed_by=who_of("proposed_by", row),
        proposed_at=row.proposed_at,
        reason=row.reason,
        state=ProposalState(row.state),
        decided_by=_later_of("decided_by", row),
        decided_at=row.decided_at,
        comment=row.comment,
    )


def _later_columns(column: str, who: Who | None) -> Mapping[str, Any]:
    if who is None:
        return {column: None, f"{column}_verified": None, f"{column}_via": None}
    return who_columns(column, who)


def _later_of(column: str, row: Row[Any]) -> Who | None:
    return who_of(column, row) if row._mapping[column] is not None else None
