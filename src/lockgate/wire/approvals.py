"""What the API is asked and answers about approvals: kept plans, stand-ins, broken glass, and proposed policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from lockgate.wire.shapes import ApprovalRequest, Decision, Plan, Promotion, Validation, Who

# read by what writes the API's description: there is no other field
_CLOSED: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class WithdrawAsk:
    """Take back one's own request for this move, or with `approval` one's own yes to it."""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    version: int
    reason: str
    to: str = "Production"
    approval: bool = False


@dataclass(frozen=True, slots=True)
class DelegateAsk:
    """Let `to` answer in the caller's place until then."""

    __pydantic_config__: ClassVar = _CLOSED

    to: str
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class EndAsk:
    """End a delegation."""

    __pydantic_config__: ClassVar = _CLOSED

    reason: str = ""


@dataclass(frozen=True, slots=True)
class BreakGlassAsk:
    """Ask to set the gates aside for this move; `expires` is a length of time, such as 1h."""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    version: int
    reason: str
    to: str = "Production"
    expires: str = "1h"


@dataclass(frozen=True, slots=True)
class CommentAsk:
    """What is said beside an act: a review, a yes or a no."""

    __pydantic_config__: ClassVar = _CLOSED

    comment: str = ""


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """The parts of a plan that was kept, and the digest that they make."""

    digest: str
    parts: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Delegation:
    """For a while `to` may answer in the place of `giver`. `holds`: it may be used now."""

    id: str
    giver: Who
    to: str
    reason: str
    at: datetime
    until: datetime
    holds: bool
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DelegationList:
    """Delegations, newest first."""

    delegations: tuple[Delegation, ...]


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """One time that gates were set aside, or that somebody asked to.

    `state` is asked, broken, to review, reviewed or expired. `overdue`: nobody reviewed it in time.
    """

    id: str
    model: str
    version: int
    stage: str
    state: str
    asked_by: Who
    reason: str
    asked_at: datetime
    expires_at: datetime
    artifacts: str
    confirmed_by: Who | None = None
    confirmed_at: datetime | None = None
    promotion: str = ""
    used_at: datetime | None = None
    review_due: datetime | None = None
    overdue: bool = False
    reviewed_by: Who | None = None
    reviewed_at: datetime | None = None
    review: str = ""

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class BreakGlassList:
    """Broken glass, newest first."""

    glasses: tuple[BreakGlass, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """A glass that was confirmed, and the promotion that goes on by it."""

    glass: BreakGlass
    promotion: Promotion


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy that waits for a second administrator. `state` is open, approved, rejected or replaced."""

    id: str
    digest: str
    text: str
    before: str
    proposed_by: Who
    proposed_at: datetime
    reason: str
    state: str
    decided_by: Who | None = None
    decided_at: datetime | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ProposalList:
    """Proposed policies, newest first."""

    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set that went into a run."""

    name: str
    digest: str
    kind: str
    context: str = ""


@dataclass(frozen=True, slots=True)
class Training:
    """The run that made a version, as whoever ran it says."""

    run_id: str
    name: str
    user: str
    source: str
    commit: str
    started_at: datetime | None
    datasets: tuple[DataSet, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two versions that an approver compares."""

    model: str
    version: int
    stage: str
    digest: str | None
    tags: Mapping[str, str]
    validation: Validation | None
    training: Training | None
    run_id: str | None
    registered_by: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class MetricBeside:
    """A metric of both versions, None where one has it not; `delta` is the new one's less the champion's."""

    name: str
    candidate: float | None
    champion: float | None
    delta: float | None
    grade: str = ""


@dataclass(frozen=True, slots=True)
class PartChange:
    """One part that is not what it was; None: it was not there, or is not there any more."""

    part: str
    before: str | None
    after: str | None
    told: str


@dataclass(frozen=True, slots=True)
class NotCounted:
    """A yes that does not count, and why."""

    decision: Decision
    because: str


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """A request with all that an approver looks at. `changed`: since the plan that was put up for approval.

    `signature` says what changed from the champion's; None while it is not known. `missing` says who still has to
    agree.
    """

    request: ApprovalRequest
    plan: Plan
    changed: tuple[PartChange, ...]
    counted: tuple[Decision, ...]
    ignored: tuple[NotCounted, ...]
    missing: tuple[str, ...]
    candidate: Side
    champion: Side | None
    metrics: tuple[MetricBeside, ...]
    signature: tuple[str, ...] | None
    libraries: tuple[PartChange, ...] = ()
    expired: bool = False
    expires_at: datetime | None = None
    unverified: bool = False
