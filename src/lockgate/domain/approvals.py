"""Requests for approval and the signed answers to them, and which answers count.

The rules are strict where they could be read in two ways: a person counts once, whatever they sign with and for whom;
who asked counts for nobody; and what is not certain to be a yes is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from lockgate.domain.access import Act, Role, acts_of, folded
from lockgate.domain.identity import Who
from lockgate.domain.plans import Parts
from lockgate.domain.policy import ApprovalRule, Team
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef

Roles = Mapping[str, frozenset[str]]
"""The roles that people have on the model now, by name; empty while there are no users at all."""

# for whom a rule names no roles
_MAY_APPROVE = frozenset(role.value for role in Role if Act.DECIDE in acts_of(role))


class RequestState(StrEnum):
    """Where a request for approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"

    @property
    def may_be_answered(self) -> bool:
        """Whether it is neither turned down nor over."""
        return self in (RequestState.PENDING, RequestState.APPROVED)


@dataclass(frozen=True, slots=True)
class Decision:
    """One person's answer, on the plan whose digest it names.

    `behalf` is whom they stood in for, by a delegation. A yes that was taken back, or that a rollback ended, stays
    with the time and the reason of that.
    """

    approved: bool
    who: Who
    comment: str
    at: datetime
    plan_digest: str
    behalf: str = ""
    withdrawn_at: datetime | None = None
    withdrawn_because: str = ""

    @property
    def voice(self) -> str:
        """Whose answer it is: theirs whom the giver stands in for, else the giver's own."""
        return self.behalf or self.who.name

    @property
    def people(self) -> frozenset[str]:
        """Everybody who has a part in it, as names are compared."""
        return frozenset({folded(self.who.name), folded(self.voice)})

    def __str__(self) -> str:
        return f"{self.who} for {self.behalf}" if self.behalf else str(self.who)


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """Someone asked for a yes to moving one version into one stage.

    `plans` are the parts of the plans that it and its decisions name, by digest, as far as they are kept.
    """

    id: str
    ref: VersionRef
    stage: Stage
    asked_by: Who
    reason: str
    asked_at: datetime
    plan_digest: str
    state: RequestState
    decisions: tuple[Decision, ...] = ()
    closed_because: str = ""
    plans: Mapping[str, Parts] = field(default_factory=dict, compare=False)

    def expires_at(self, rule: ApprovalRule | None) -> datetime | None:
        """Until when it may be answered; None is without end."""
        length = rule.request_expires if rule else None
        return None if length is None else self.asked_at + length

    @property
    def people(self) -> frozenset[str]:
        """The names of everybody who has a part in it."""
        return frozenset(
            {self.asked_by.name, *(name for d in self.decisions for name in (d.who.name, d.voice))},
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a count is held against: the rule, the plan as it is now, the time, and people's roles now."""

    rule: ApprovalRule
    plan_digest: str
    now: datetime | None = None
    roles: Roles = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tally:
    """Which answers count, why each other yes does not, and what is still missing, in words."""

    counted: tuple[Decision, ...]
    ignored: tuple[tuple[Decision, str], ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def enough(self) -> bool:
        """Whether nobody else has to agree. One no is not looked at here: it outweighs every yes."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class Delegation:
    """For a while `to` may answer in the place of `giver`, who has the role of an approver; never passed on."""

    id: str
    giver: Who
    to: str
    reason: str
    at: datetime
    until: datetime
    ended_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it may be used at that time."""
        return self.ended_at is None and self.at <= now < self.until


OWN = "whoever asked does not count"
EARLIER = "it is of an earlier plan"
AGAIN = "it is the same person's again"


def tally(request: ApprovalRequest, asked: Asked) -> Tally:
    """Count the yeses on a request, in the order in which they were given.

    A person counts once, in whatever name or place they signed: who stands in for somebody and signs for themselves
    too is one person. Of each team so many must agree as it says, and nobody stands for two teams.
    """
    counted: list[Decision] = []
    ignored: list[tuple[Decision, str]] = []
    seen: set[str] = set()
    for decision in request.decisions:
        if not decision.approved:
            continue
        because = _not_counted(request, decision, asked)
        if not because and decision.people & seen:
            because = AGAIN
        if because:
            ignored.append((decision, because))
        else:
            seen |= decision.people
            counted.append(decision)
    return Tally(tuple(counted), tuple(ignored), tuple(_missing(counted, asked)))


def counting(
    request: ApprovalRequest,
    rule: ApprovalRule,
    plan_digest: str,
    now: datetime | None = None,
    roles: Roles | None = None,
) -> tuple[Decision, ...]:
    """The approvals that count; see `tally`."""
    return tally(request, Asked(rule, plan_digest, now, roles or {})).counted


def stale(requests: Sequence[ApprovalRequest], plan_digest: str) -> bool:
    """Whether someone approved, but a plan that is no longer this one."""
    return any(outdated(request, plan_digest) is not None for request in requests)


def outdated(request: ApprovalRequest, plan_digest: str) -> Decision | None:
    """The latest yes that was given to another plan and not taken back, None when there is none."""
    return next(
        (
            decision
            for decision in reversed(request.decisions)
            if decision.approved and decision.plan_digest != plan_digest and decision.withdrawn_at is None
        ),
        None,
    )


def rejection(request: ApprovalRequest | None) -> Decision | None:
    """The latest no on a request. One no outweighs every yes."""
    return next((d for d in reversed(request.decisions) if not d.approved), None) if request else None


def expired(request: ApprovalRequest, rule: ApprovalRule | None, now: datetime) -> bool:
    """Whether it may not be answered any more because too much time has passed."""
    until = request.expires_at(rule)
    return request.state is RequestState.EXPIRED or (until is not None and now >= until)


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: case and differences that nobody sees make nobody another one."""
    return folded(one) == folded(other)


def may_approve(roles: frozenset[str], rule: ApprovalRule) -> bool:
    """Whether somebody with these roles may answer at all: as an approver, or in a role that the rule names."""
    return bool(roles & (frozenset(rule.roles) or _MAY_APPROVE))


def _not_counted(request: ApprovalRequest, decision: Decision, asked: Asked) -> str:
    """Why this yes does not count, "" when it does."""
    rule, now = asked.rule, asked.now
    if decision.withdrawn_at is not None:
        return f"it was taken back: {decision.withdrawn_because}"
    if decision.plan_digest != asked.plan_digest:
        return EARLIER
    if rule.not_the_requester and folded(request.asked_by.name) in decision.people:
        return OWN
    if now is not None and decision.at > now:
        return "it was given at a time that is still to come: the clock was set back"
    if now is not None and _is_over(decision.at, rule.expires, now):
        return "it is too old"
    return _wrong_roles(decision, asked)


def _wrong_roles(decision: Decision, asked: Asked) -> str:
    if not asked.roles:
        return "there are no users with roles" if asked.rule.roles else ""
    if not decision.who.verified:
        return "it was given before there were users, under a name that nobody checked"
    if not asked.roles.get(decision.who.name):
        return f"{decision.who.name} is no user with a role here any more"
    if not may_approve(asked.roles.get(decision.voice, frozenset()), asked.rule):
        return f"{decision.voice} has not the role to approve any more"
    return ""


def _is_over(at: datetime, length: timedelta | None, now: datetime) -> bool:
    return length is not None and now >= at + length


def _missing(counted: Sequence[Decision], asked: Asked) -> list[str]:
    """What is still missing: of all together, and of each team when nobody stands for two."""
    found = []
    if len(counted) < asked.rule.approvals:
        found.append(_more(asked.rule.approvals - len(counted), "approval"))
    seats = [team for team in asked.rule.teams for _ in range(team.approvals)]
    unfilled = _unfilled(counted, seats, asked.roles)
    for team in dict.fromkeys(unfilled):
        found.append(f"{unfilled.count(team)} of {team}")
    return found


def _more(number: int, what: str) -> str:
    return f"{number} more {what}" if number == 1 else f"{number} more {what}s"


def _unfilled(counted: Sequence[Decision], seats: Sequence[Team], roles: Roles) -> list[Team]:
    """The seats that stay empty when as many as possible are taken, each by another person."""
    sits: dict[int, int] = {}  # decision -> seat

    def seat(number: int, tried: set[int]) -> bool:
        for place, decision in enumerate(counted):
            if place in tried or not _belongs(decision, seats[number], roles):
                continue
            tried.add(place)
            if place not in sits or seat(sits[place], tried):
                sits[place] = number
                return True
        return False

    return [team for number, team in enumerate(seats) if not seat(number, set())]


def _belongs(decision: Decision, team: Team, roles: Roles) -> bool:
    if team.role and team.role not in roles.get(decision.voice, frozenset()):
        return False
    return not team.people or any(same_person(decision.voice, name) for name in team.people)
