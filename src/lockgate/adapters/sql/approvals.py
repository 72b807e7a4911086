"""Requests for approval with the answers given to them, and the plans that both name."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, or_, select, tuple_, update

from lockgate.adapters.sql.approvals_tables import plans
from lockgate.adapters.sql.dialects import insert_if_new
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import decision_of, request_of, who_columns
from lockgate.adapters.sql.tables import PENDING, decisions, models, requests
from lockgate.domain.approvals import ApprovalRequest, Decision, RequestState
from lockgate.domain.canonical import canonical, digest_of
from lockgate.domain.errors import NotFound
from lockgate.domain.plans import Parts
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
            "closed_because": request.closed_because,
        }
        self._connection.execute(insert(requests).values(values))
        for decision in request.decisions:
            self._write(request.id, decision)

    def decide(self, request_id: str, decision: Decision, state: str) -> None:
        """Add the answer and set the request's state. Raises NotFound when there is no such request."""
        self._set(request_id, state=str(state))
        self._write(request_id, decision)

    def close(self, request_id: str, state: RequestState, because: str) -> None:
        """Raises NotFound when there is no such request."""
        self._set(request_id, state=state.value, closed_because=because)

    def take_back(self, request_id: str, name: str, at: datetime, because: str) -> int:
        here = decisions.c
        theirs = (here.request == request_id, or_(here.who == name, here.behalf == name))
        return self._end(at, because, *theirs)

    def void(self, ref: VersionRef, at: datetime, because: str) -> int:
        of_version = select(requests.c.id).where(
            requests.c.model_id == self._names.key(ref.model), requests.c.version == ref.version
        )
        return self._end(at, because, decisions.c.request.in_(of_version))

    def keep_plan(self, digest: str, parts: Parts, at: datetime) -> None:
        text = canonical(dict(parts))
        if digest_of(text) != digest:
            raise ValueError(f"these are not the parts of the plan {digest}")
        insert_if_new(
            self._connection, plans, {"digest": digest, "parts": text.decode(), "kept_at": at}, [plans.c.digest]
        )

    def plan(self, digest: str) -> Parts | None:
        # all digits of the rest come before g
        within = (plans.c.digest >= digest, plans.c.digest < f"{digest}g")
        found = self._connection.execute(select(plans).where(*within).order_by(plans.c.digest).limit(2)).all()
        # a beginning that two share names none
        return _unchanged(found).get(found[0].digest) if len(found) == 1 else None

    def get(self, id: str) -> ApprovalRequest | None:
        living = (models.c.deleted_at.is_(None), models.c.workspace == self._names.workspace)
        return self._with_plans(next(iter(self._all(_rows().where(requests.c.id == id, *living))), None))

    def latest(self, ref: VersionRef, stage: Stage) -> ApprovalRequest | None:
        here = {"model_id": self._names.key(ref.model), "version": ref.version, "stage": stage.value}
        return self._with_plans(next(iter(self._all(_LATEST, here)), None))

    def pending(self, limit: int = 100, after: str = "") -> Sequence[ApprovalRequest]:
        rows = _rows().where(*self._pending()).order_by(requests.c.asked_at, requests.c.id).limit(limit)
        if after:
            last = self._connection.execute(select(requests.c.asked_at).where(requests.c.id == after)).scalar()
            if last is None:
                raise NotFound(f"There is no request for approval {after}.", hint="lockgate approvals list")
            # the first condition is what the index reads; the second leaves out those of that very moment
            rows = rows.where(requests.c.asked_at >= last)
            rows = rows.where(tuple_(requests.c.asked_at, requests.c.id) > tuple_(_instant(last), after))
        return self._all(rows)

    def pending_of(self, model: str, limit: int = 100) -> Sequence[ApprovalRequest]:
        here = requests.c.model_id == self._names.key(model)
        return self._all(_rows().where(here, PENDING).order_by(requests.c.asked_at, requests.c.id).limit(limit))

    def pending_counts(self) -> Mapping[str, int]:
        counted = (
            select(models.c.name, func.count())
            .join(requests, requests.c.model_id == models.c.id)
            .where(*self._pending())
            .group_by(models.c.name)
        )
        return {row[0]: row[1] for row in self._connection.execute(counted)}

    def of_model(self, model: str, limit: int = 100) -> Sequence[ApprovalRequest]:
        here = requests.c.model_id == self._names.key(model)
        return self._all(_rows().where(here).order_by(*_NEWEST_FIRST).limit(limit))

    def of_row(self, model_id: int, version: int) -> Sequence[ApprovalRequest]:
        """Those about one version of a model that may be gone, newest first."""
        here = (requests.c.model_id == model_id, requests.c.version == version)
        return self._all(_rows().where(*here).order_by(*_NEWEST_FIRST))

    def _pending(self) -> tuple[Any, ...]:
        # not found by the models of the workspace, which may be many: the index of what is pending has the order
        here = models.c.workspace.concat("") == self._names.workspace
        return (PENDING, models.c.deleted_at.is_(None), here)

    def _all(self, rows: Select[Any], here: Mapping[str, Any] | None = None) -> list[ApprovalRequest]:
        found = self._connection.execute(rows, here).all()
        if not found:
            return []
        answers: dict[str, list[Decision]] = defaultdict(list)
        given = select(decisions).where(decisions.c.request.in_([row.id for row in found])).order_by(decisions.c.id)
        for row in self._connection.execute(given):
            answers[row.request].append(decision_of(row))
        return [request_of(row, tuple(answers[row.id])) for row in found]

    def _with_plans(self, request: ApprovalRequest | None) -> ApprovalRequest | None:
        """The request with the plans that were signed; most have none, and then nothing is asked."""
        if request is None or not request.decisions:
            return request
        signed = {decision.plan_digest for decision in request.decisions}
        return replace(request, plans=self._plans(signed))

    def _plans(self, digests: Iterable[str]) -> dict[str, Parts]:
        return _unchanged(self._connection.execute(select(plans).where(plans.c.digest.in_(sorted(digests)))))

    def _set(self, request_id: str, **values: str) -> None:
        moved = update(requests).where(requests.c.id == request_id).values(**values)
        if self._connection.execute(moved).rowcount == 0:
            raise NotFound(
                f"There is no request for approval {request_id}.", hint="lockgate approvals list shows those that wait."
            )

    def _end(self, at: datetime, because: str, *theirs: Any) -> int:
        living = (decisions.c.approved.is_(True), decisions.c.withdrawn_at.is_(None))
        ended = update(decisions).where(*living, *theirs).values(withdrawn_at=at, withdrawn_because=because)
        return self._connection.execute(ended).rowcount

    def _write(self, request_id: str, decision: Decision) -> None:
        values = {
            "request": request_id,
            "approved": decision.approved,
            **who_columns("who", decision.who),
            "comment": decision.comment,
            "at": decision.at,
            "plan_digest": decision.plan_digest,
            "behalf": decision.behalf,
            "withdrawn_at": decision.withdrawn_at,
            "withdrawn_because": decision.withdrawn_because,
        }
        self._connection.execute(insert(decisions).values(values))


_NEWEST_FIRST = (requests.c.asked_at.desc(), requests.c.id.desc())


def _unchanged(found: Iterable[Row[Any]]) -> dict[str, Parts]:
    """The plans in these rows: what somebody changed behind us is no longer the plan that its digest names."""
    return {row.digest: json.loads(row.parts) for row in found if digest_of(row.parts.encode()) == row.digest}


def _instant(at: datetime) -> Any:
    return bindparam(None, at, type_=requests.c.asked_at.type)


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
