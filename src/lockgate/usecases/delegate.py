"""Lets somebody answer requests for approval in one's place for a while: on the record, and never passed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lockgate.domain.access import Act, allowed_somewhere, folded, missing
from lockgate.domain.approvals import Delegation
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, Conflict, Forbidden, NotFound
from lockgate.domain.identity import SERVICE, Who
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.people import known, logged_in
from lockgate.usecases.ports import Ports, Work

LONGEST = timedelta(days=90)


def give(ports: Ports, who: Who, to: str, until: datetime, reason: str) -> Delegation:
    """Let `to` approve and reject in the caller's place until then, wherever the caller may.

    Raises Conflict while there are no users, Forbidden for who is no approver of their own right, NotFound, and
    BadInput for an end that is past or further away than 90 days, for oneself, and without a reason.
    """
    now = ports.clock.now()
    if not reason.strip():
        raise BadInput("A delegation needs a reason.", hint="--reason says why; it stays on the record.")
    if not now < until <= now + LONGEST:
        raise BadInput(
            f"A delegation ends within {LONGEST.days} days from now, and {until:%Y-%m-%d %H:%M} UTC is not.",
            hint="Name its end with --until, for example 2026-08-31.",
        )
    with refusals_recorded(ports, who, "delegate"), ports.store.writing(None) as work:
        _may_give(work, who, to)
        delegation = Delegation(ports.ids.new("dlg"), who, known(work, to).name, reason, now, until)
        work.delegations.add(delegation)
        detail: dict[str, Plain] = {"delegation": delegation.id, "to": delegation.to, "until": until.isoformat()}
        work.record.write(Entry("delegation:given", who, now, after=delegation.to, why=reason, detail=detail))
    return delegation


def end(ports: Ports, id: str, who: Who, reason: str = "") -> Delegation:
    """End a delegation: whoever gave it, whoever has it, or who manages people. What was answered by it stands.

    Raises NotFound, Forbidden, and Conflict when it is over.
    """
    with refusals_recorded(ports, who, "delegate end"), ports.store.writing(None) as work:
        logged_in(work, who)
        found = work.delegations.get(id)
        if found is None:
            raise NotFound(f"There is no delegation {id}.", hint="lockgate delegate list shows them.")
        if who.name not in (found.giver.name, found.to):
            authorise(work, who, Act.MANAGE_PEOPLE)
        now = ports.clock.now()
        if not found.holds(now):
            raise Conflict(f"The delegation {id} is over already.", hint="Nothing was changed.")
        work.delegations.end(id, now)
        detail: dict[str, Plain] = {"delegation": id, "giver": found.giver.name, "to": found.to}
        work.record.write(Entry("delegation:ended", who, now, before=found.to, why=reason, detail=detail))
    return replace(found, ended_at=now)


def listed(ports: Ports, limit: int = 100) -> Sequence[Delegation]:
    """The latest delegations, newest first, those that are over among them."""
    with ports.store.reading() as work:
        return work.delegations.recent(limit)


def _may_give(work: Work, who: Who, to: str) -> None:
    if not work.people.any():
        raise Conflict(
            "There are no users yet, so there is no role to delegate: anybody may approve.",
            hint="Make the first one: lockgate users add NAME",
        )
    logged_in(work, who)
    grants = work.people.grants_of(who.name, who.token)
    if not allowed_somewhere(grants, Act.DECIDE, who.kind):
        raise Forbidden(
            missing(grants, Act.DECIDE, kind=who.kind),
            hint="Only an approver's own role can be delegated, and not one that was delegated to them.",
        )
    taker = known(work, to)
    if folded(taker.name) == folded(who.name):
        raise BadInput(f"{to} is yourself.", hint="Name somebody else.")
    if not taker.active or taker.kind == SERVICE:
        raise BadInput(f"{to} is {'disabled' if not taker.active else 'a service account'}.", hint="Name a person.")
