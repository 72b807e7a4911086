"""One asked-for move of one version to one stage, from request to outcome."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lockgate.domain.identity import Who
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Verdict
from lockgate.domain.versions import VersionRef


class PromotionState(StrEnum):
    """Where a promotion is.

    judging -> validating -> judging -> waiting -> warming -> switching -> done
    and from any open state: refused (a gate), failed (it was tried), cancelled (someone withdrew it).
    After the closing commit, which opens `switching`, only `done` is left.
    """

    JUDGING = "judging"
    VALIDATING = "validating"
    WAITING = "waiting"
    WARMING = "warming"
    SWITCHING = "switching"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self in OVER

    @property
    def moves_endpoint(self) -> bool:
        """Whether a rollout holds the endpoint now, so that no other version may start one."""
        return self in (PromotionState.WARMING, PromotionState.SWITCHING)


OVER = frozenset({PromotionState.DONE, PromotionState.REFUSED, PromotionState.FAILED, PromotionState.CANCELLED})

MOVES: frozenset[tuple[PromotionState, PromotionState]] = frozenset(
    [(a, b) for a in PromotionState if a not in OVER for b in OVER if a is not PromotionState.SWITCHING]
    + [
        (PromotionState.JUDGING, PromotionState.VALIDATING),
        (PromotionState.JUDGING, PromotionState.WAITING),
        (PromotionState.JUDGING, PromotionState.WARMING),
        (PromotionState.VALIDATING, PromotionState.JUDGING),
        (PromotionState.WAITING, PromotionState.JUDGING),
        (PromotionState.WARMING, PromotionState.JUDGING),
        (PromotionState.WARMING, PromotionState.SWITCHING),
        (PromotionState.SWITCHING, PromotionState.DONE),
    ]
)


class Kind(StrEnum):
    """What asked for it: a client's transition, a protected alias, `lockgate promote`, a rollback, or broken glass."""

    TRANSITION = "transition"
    ALIAS = "alias"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    BREAK_GLASS = "break-glass"

    @property
    def goes_first(self) -> bool:
        """Whether it takes the place of a promotion that waits for its gates: it does not wait for them."""
        return self in (Kind.ROLLBACK, Kind.BREAK_GLASS)


@dataclass(frozen=True, slots=True)
class Promotion:
    """`lasting` ones wait for approvals and time; the others end as refused when a gate waits.

    `judgements` counts how often changed evidence sent it back; `candidate` is the release being warmed;
    `evidence_digest` names what its verdict was based on, once that is kept;
    `generation` is the endpoint generation its closing commit made; `leaves` is the version a rollback leaves behind,
    or the one that was named to make room. `asked_plan` is the digest of the one plan it may carry out, "" for any.
    """

    id: str
    ref: VersionRef
    stage: Stage
    kind: Kind
    lasting: bool
    archive_existing: bool
    asked_by: Who
    reason: str
    asked_at: datetime
    state: PromotionState
    because: str = ""
    verdict: Verdict | None = None
    plan_digest: str = ""
    policy_digest: str = ""
    evidence_digest: str = ""
    validation: str = ""
    endpoint: str = ""
    candidate: str = ""
    generation: int = 0
    leaves: VersionRef | None = None
    judgements: int = 0
    state_since: datetime | None = None
    closed_at: datetime | None = None
    asked_plan: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to advance one promotion or validation of a workspace's: lost when the fence moved on."""

    id: str
    owner: str
    fence: int
    workspace: str = "default"
