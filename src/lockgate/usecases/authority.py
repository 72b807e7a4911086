"""Who may answer a request for approval, and in whose place: the one with the role, or whom they named for a while."""

from __future__ import annotations

from datetime import datetime

from lockgate.domain.access import Act, Role, allowed, missing
from lockgate.domain.approvals import ApprovalRequest, Decision, may_approve, same_person
from lockgate.domain.errors import Conflict, Forbidden
from lockgate.domain.identity import SERVICE, Who
from lockgate.domain.policy import ApprovalRule
from lockgate.usecases.authorise import is_limited
from lockgate.usecases.people import logged_in
from lockgate.usecases.ports import Work


def to_answer(work: Work, who: Who, asked: ApprovalRequest, rule: ApprovalRule, now: datetime) -> str:
    """In whose place this caller answers: "" in their own, else the name of who delegated it to them.

    Raises Forbidden, naming the role that is missing, and Unauthenticated for a name that nobody checked. Their own
    role comes first, so that nobody can choose for whom they speak.
    """
    logged_in(work, who)
    if not is_limited(who):
        return ""
    model = asked.ref.model
    grants = work.people.grants_of(who.name, who.token)
    if allowed(grants, Act.DECIDE, model, who.kind):
        _refuse_wrong_role(work, who.name, model, rule)
        return ""
    for delegation in work.delegations.to(who.name) if who.kind != SERVICE else ():
        giver = delegation.giver.name
        # nobody passes on what was passed on to them: the giver needs the role of their own
        roles = work.people.roles_of([giver, who.name], model)
        held = frozenset(role.value for role in roles.get(giver, ()))
        good = who.name in roles and Role.APPROVER.value in held and may_approve(held, rule)
        if good and delegation.holds(now):
            return giver
    raise Forbidden(
        missing(grants, Act.DECIDE, model, who.kind),
        hint="An approver who is away lets somebody answer in their place: lockgate delegate NAME --until DATE",
    )


def refuse_own(asked: ApprovalRequest, rule: ApprovalRule, who: Who, behalf: str) -> None:
    """Raise Forbidden for the yes of whoever asked: in their own name, by another token, or by whom they named."""
    if not rule.not_the_requester:
        return
    what, requester = f"{asked.ref} to {asked.stage}", asked.asked_by.name
    if same_person(who.name, requester):
        raise Forbidden(
            f"{who.name} asked for {what} and may not approve it.",
            hint="Somebody else has to: --as NAME tells who acts.",
        )
    if behalf and same_person(behalf, requester):
        raise Forbidden(
            f"{who.name} stands in for {behalf}, who asked for {what}: that is the requester's own yes.",
            hint="Somebody else has to approve it.",
        )


def refuse_two_voices(asked: ApprovalRequest, decision: Decision) -> None:
    """Raise Conflict when one of the people behind this yes has given another one already, in another place."""
    for other in asked.decisions:
        live = other.approved and other.withdrawn_at is None and other.plan_digest == decision.plan_digest
        if live and other.people & decision.people and other.people != decision.people:
            raise Conflict(
                f"{other} has approved {asked.ref} to {asked.stage} already, and a person is counted once.",
                hint=f"Whoever gave that yes can take it back: lockgate withdraw {asked.ref} --reason …",
            )


def _refuse_wrong_role(work: Work, name: str, model: str, rule: ApprovalRule) -> None:
    held = frozenset(role.value for role in work.people.roles_of([name], model).get(name, ()))
    if not may_approve(held, rule):
        raise Forbidden(
            f"The policy asks for an approval in the role {' or '.join(rule.roles)}, which {name} does not have.",
            hint=f"Somebody with that role on {model} has to approve it.",
        )
