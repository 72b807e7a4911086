"""Setting the gates aside in an emergency: two people, a reason, an end, and a review afterwards by a third."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from lockgate.domain.approvals import same_person
from lockgate.domain.identity import Who
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Gate, Level, Verdict
from lockgate.domain.versions import VersionRef

REVIEW_WITHIN = timedelta(hours=48)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=24)
DEFAULT_LENGTH = timedelta(hours=1)

# not a matter of an emergency: what serves is what was pinned, and never more versions in a stage than allowed
NEVER_SET_ASIDE = frozenset({"artifacts_pinned", "max_production_versions"})


class GlassState(StrEnum):
    """Where it stands at a moment.

    `asked` waits for the second person, `broken` sets the gates aside now, `to review` is over and waits for the
    third person, `reviewed` is closed; `expired` was never confirmed.
    """

    ASKED = "asked"
    BROKEN = "broken"
    TO_REVIEW = "to review"
    REVIEWED = "reviewed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """One time that the gates were set aside for one version on its way into one stage, or that somebody asked to.

    `artifacts` is the digest of the files it is about. `promotion` is the move that was made
    by it, and `used_at` when that was committed.
    """

    id: str
    ref: VersionRef
    stage: Stage
    asked_by: Who
    reason: str
    asked_at: datetime
    expires_at: datetime
    artifacts: str
    confirmed_by: Who | None = None
    confirmed_at: datetime | None = None
    promotion: str = ""
    used_at: datetime | None = None
    reviewed_by: Who | None = None
    reviewed_at: datetime | None = None
    review: str = ""
    overdue_noted_at: datetime | None = None

    @property
    def review_due(self) -> datetime | None:
        """When somebody must have looked at it: counted from the confirmation."""
        return None if self.confirmed_at is None else self.confirmed_at + REVIEW_WITHIN

    def state(self, now: datetime) -> GlassState:
        """As it stands at that time."""
        if self.reviewed_at is not None:
            return GlassState.REVIEWED
        if self.confirmed_at is None:
            return GlassState.ASKED if now < self.expires_at else GlassState.EXPIRED
        if self.used_at is None and self.confirmed_at <= now < self.expires_at:
            return GlassState.BROKEN
        return GlassState.TO_REVIEW

    def overdue(self, now: datetime) -> bool:
        """Whether nobody reviewed it in time."""
        return self.reviewed_at is None and self.review_due is not None and now >= self.review_due

    def took_part(self, name: str) -> bool:
        """Whether this person asked for it or confirmed it."""
        people = [self.asked_by, *([self.confirmed_by] if self.confirmed_by is not None else [])]
        return any(same_person(name, who.name) for who in people)


def set_aside(verdict: Verdict) -> Verdict:
    """The same verdict, in which only those gates bind that no emergency opens."""
    return Verdict(tuple(_bound(gate) for gate in verdict.gates))


def _bound(gate: Gate) -> Gate:
    return replace(gate, level=Level.ENFORCE if gate.name in NEVER_SET_ASIDE else Level.OBSERVE)
