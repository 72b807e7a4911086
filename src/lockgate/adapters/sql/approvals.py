"""Requests for approval with the answers given to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, insert, select, update

from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import decision_of, request_of, who_columns
from lockgate.adapters.sql.tables import PENDING, decisions, models, requests
from lockgate.domain.approvals import ApprovalRequest, Decision
from lockgate.domain.errors import NotFound
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef


class SqlApprovals:
    """`Approvals`."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def add(self, request: ApprovalRequest) -> None:
        values = {
            "id": request.id,
            "model_id": self._names.ensure(request.ref.model),
            "version": request.ref.version,
            "stage": request.stage.value,
            **who_columns("asked_by", request.asked_by),
            "reason": request.reason,
            "asked_at": request.asked_at,
            "plan_digest": request.plan_digest,
            "state": request.state.value,
        }
        self._connection.execute(insert(requests).values(values))
        for decision in request.decisions:
            self._write(request.id, decision)

    def decide(self, request_id: str, decision: Decision, state: str) -> None:
        """Add the answer and set the request's state. Raises NotFound when there is no such request."""
        moved = update(requests).where(requests.c.id == request_id).values(state=str(state))
        if self._connection.execute(moved).rowcount == 0:
            raise NotFound(
                f"There is no request for approval {request_id}.", hint="lockgate approvals lists those that wait."
            )
        self._write(request_id, decision)

    def latest(self, ref: VersionRef, stage: Stage) -> ApprovalRequest | None:
        here = {"model_id": self._names.key(ref.model), "version": ref.version, "stage": stage.value}
        return next(iter(self._all(_LATEST, here)), None)

    def pending(self) -> Sequence[ApprovalRequest]:
        living = (PENDING, models.c.deleted_at.is_(None), models.c.workspace == self._names.workspace)
        return self._all(_rows().where(*living).order_by(requests.c.asked_at, requests.c.id))

    def of_model(self, model: str, limit: int = 100) -> Sequence[ApprovalRequest]:
        here = requests.c.model_id == self._names.key(model)
        return self._all(_rows().where(here).order_by(*_NEWEST_FIRST).limit(limit))

    def _all(self, rows: Select[Any], here: Mapping[str, Any] | None = None) -> list[ApprovalRequest]:
        found = self._connection.execute(rows, here).all()
        if not found:
            return []
        answers: dict[str, list[Decision]] = defaultdict(list)
        given = select(decisions).where(decisions.c.request.in_([row.id for row in found])).order_by(decisions.c.id)
        for row in self._connection.execute(given):
            answers[row.request].append(decision_of(row))
        return [request_of(row, tuple(answers[row.id])) for row in found]

    def _write(self, request_id: str, decision: Decision) -> None:
        values = {
            "request": request_id,
            "approved": decision.approved,
            **who_columns("who", decision.who),
            "comment": decision.comment,
            "at": decision.at,
            "plan_digest": decision.plan_digest,
        }
        self._connection.execute(insert(decisions).values(values))


_NEWEST_FIRST = (requests.c.asked_at.desc(), requests.c.id.desc())


def _rows() -> Select[Any]:
    return select(requests, models.c.name.label("model")).join(models, models.c.id == requests.c.model_id)


# made once: making a statement takes longer than running it
_LATEST = (
    _rows()
    .where(
        requests.c.model_id == bindparam("model_id"),
        requests.c.version == bindparam("version"),
        requests.c.stage == bindparam("stage"),
    )
    .order_by(*_NEWEST_FIRST)
    .limit(1)
)
