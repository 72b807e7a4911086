"""Requests for approval and the signed answers to them, and whether an answer still counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lockgate.domain.identity import Who
from lockgate.domain.policy import ApprovalRule
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef


class RequestState(StrEnum):
    """Where a request for approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Decision:
    """One person's answer, on the plan whose digest it names."""

    approved: bool
    who: Who
    comment: str
    at: datetime
    plan_digest: str


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """Someone asked for a yes to moving one version into one stage."""

    id: str
    ref: VersionRef
    stage: Stage
    asked_by: Who
    reason: str
    asked_at: datetime
    plan_digest: str
    state: RequestState
    decisions: tuple[Decision, ...] = ()


def counting(request: ApprovalRequest, rule: ApprovalRule, plan_digest: str) -> tuple[Decision, ...]:
    """The approvals that count: of this very plan, one a person, and not the requester's own where that is asked."""
    seen: dict[str, Decision] = {}
    for decision in request.decisions:
        if not decision.approved or decision.plan_digest != plan_digest:
            continue
        if rule.not_the_requester and decision.who.name == request.asked_by.name:
            continue
        seen.setdefault(decision.who.name, decision)
    return tuple(seen.values())


def stale(requests: Sequence[ApprovalRequest], plan_digest: str) -> bool:
    """Whether someone approved, but a plan that is no longer this one."""
    return any(d.approved and d.plan_digest != plan_digest for request in requests for d in request.decisions)
