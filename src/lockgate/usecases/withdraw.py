"""Takes back a request for approval, or an approval that was given, before the move it is for is made."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from lockgate.domain.access import Act
from lockgate.domain.approvals import ApprovalRequest, Decision, RequestState, expired, same_person, tally
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.consent import asked_of
from lockgate.domain.errors import BadInput, Conflict, Forbidden, NotFound
from lockgate.domain.identity import LOCKGATE, Who
from lockgate.domain.policy import ApprovalRule, Policy
from lockgate.domain.stages import GATED, Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases.approval_tags import mirror
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.gather import gather, lifecycle, stored_facts
from lockgate.usecases.people import logged_in
from lockgate.usecases.ports import Ports, Work

AT_A_TIME = 1_000


def withdraw(
    ports: Ports, ref: VersionRef, who: Who, reason: str, *, stage: Stage = Stage.PRODUCTION, approval: bool = False
) -> ApprovalRequest:
    """Take back one's own request, or the yes that one gave to it (with `approval`, or where one did not ask).

    Raises BadInput without a reason, NotFound when nobody asked, Forbidden for who neither asked nor approved, and
    Conflict once the request is over or the version has been moved.
    """
    if not reason.strip():
        raise BadInput("Taking something back needs a reason.", hint="--reason says why; it stays on the record.")
    with refusals_recorded(ports, who, f"withdraw {ref}", ref.model), ports.store.writing(ref.model) as work:
        logged_in(work, who)
        authorise(work, who, Act.READ, ref.model)
        now, asked = ports.clock.now(), work.approvals.latest(ref, stage)
        if asked is None:
            raise NotFound(f"Nobody has asked for approval of {ref} to {stage}.", hint="lockgate approvals list")
        _refuse_late(work, asked)
        mine = [each for each in asked.decisions if _is_mine(each, who)]
        if mine and (approval or not same_person(who.name, asked.asked_by.name)):
            after = _take_back_yes(work, asked, who, reason, now)
        elif same_person(who.name, asked.asked_by.name) and not approval:
            after = _take_back_request(work, asked, who, reason, now)
        else:
            raise Forbidden(
                f"{who.name} has not approved {ref} to {stage}, and it was {asked.asked_by} who asked.",
                hint="A request is withdrawn by whoever asked, an approval by whoever gave it.",
            )
        mirror(work, after)
        work.promotions.due(ref.model, now)
    return after


def end_all(work: Work, ref: VersionRef, at: datetime, because: str) -> None:
    """End every yes to a version and every request that could be answered, in the caller's transaction."""
    work.approvals.void(ref, at, because)
    for stage in sorted(GATED):
        latest = work.approvals.latest(ref, stage)
        if latest is not None and latest.state.may_be_answered:
            work.approvals.close(latest.id, RequestState.WITHDRAWN, because)
            mirror(work, replace(latest, state=RequestState.WITHDRAWN, closed_because=because))


def expire(ports: Ports) -> int:
    """Close the requests that nobody answered in the time that the policy gives; how many there were.

    The controller calls it again and again.
    """
    with ports.store.reading() as work:
        policy, now = work.policies.in_force(), ports.clock.now()
        old, after = [], ""
        while page := work.approvals.pending(AT_A_TIME, after) if _any_expires(policy) else ():
            old += [each for each in page if expired(each, _rule(policy, each), now)]
            after = page[-1].id
    return sum(_expire(ports, asked) for asked in old)


def _any_expires(policy: Policy) -> bool:
    """Whether any request at all expires: mostly none does, and then none is read."""
    stages = [policy.stages, *(stages for _, stages in policy.models)]
    rules = [rules.approval for each in stages for rules in each.values()]
    return any(rule is not None and rule.request_expires is not None for rule in rules)


def _rule(policy: Policy, asked: ApprovalRequest) -> ApprovalRule | None:
    return policy.rules(asked.ref.model, asked.stage).approval


def _expire(ports: Ports, seen: ApprovalRequest) -> bool:
    with ports.store.writing(seen.ref.model) as work:
        asked, now, ref = work.approvals.get(seen.id), ports.clock.now(), seen.ref
        rule = _rule(work.policies.in_force(), seen)
        if asked is None or asked.state is not RequestState.PENDING or not expired(asked, rule, now):
            return False
        because = "nobody answered it in the time that the policy gives"
        work.approvals.close(asked.id, RequestState.EXPIRED, because)
        detail: dict[str, Plain] = {"request": asked.id}
        entry = Entry(
            "approval:expired", LOCKGATE, now, ref.model, ref.version, asked.state, asked.stage, because, detail
        )
        work.record.write(entry)
        latest = work.approvals.latest(ref, asked.stage)
        if latest is not None and latest.id == asked.id:
            mirror(work, latest)
        work.promotions.due(ref.model, now)
        return True


def _refuse_late(work: Work, asked: ApprovalRequest) -> None:
    ref, stage = asked.ref, asked.stage
    row = lifecycle(work, ref)
    if row.stage is stage and row.entered >= asked.asked_at:
        raise Conflict(
            f"{ref} was moved to {stage} already, so there is nothing left to take back.",
            hint=f"Going back is a rollback: lockgate rollback {ref.model} --reason …",
        )
    if not asked.state.may_be_answered:
        raise Conflict(f"The request for {ref} to {stage} is {asked.state} already.", hint="Nothing was changed.")


def _is_mine(decision: Decision, who: Who) -> bool:
    live = decision.approved and decision.withdrawn_at is None
    return live and who.name in (decision.who.name, decision.behalf)


def _take_back_request(work: Work, asked: ApprovalRequest, who: Who, reason: str, now: datetime) -> ApprovalRequest:
    because = f"{who.name}: {reason}"
    work.approvals.close(asked.id, RequestState.WITHDRAWN, because)
    _record(work, asked, who, reason, now, RequestState.WITHDRAWN, what="request")
    return replace(asked, state=RequestState.WITHDRAWN, closed_because=because)


def _take_back_yes(work: Work, asked: ApprovalRequest, who: Who, reason: str, now: datetime) -> ApprovalRequest:
    work.approvals.take_back(asked.id, who.name, now, reason)
    after = work.approvals.get(asked.id) or asked
    policy, ref = work.policies.in_force(), asked.ref
    rules = policy.rules(ref.model, asked.stage)
    facts = stored_facts(work, ref)
    evidence = gather(work, policy, ref, asked.stage, facts, now, archive_existing=True)
    enough = tally(after, asked_of(evidence, rules)).enough
    state = RequestState.APPROVED if enough else RequestState.PENDING
    work.approvals.close(asked.id, state, "")
    _record(work, asked, who, reason, now, state, what="approval")
    return replace(after, state=state)


def _record(
    work: Work, asked: ApprovalRequest, who: Who, reason: str, now: datetime, state: RequestState, *, what: str
) -> None:
    ref = asked.ref
    detail: dict[str, Plain] = {"request": asked.id, "what": what, "stage": asked.stage.value}
    entry = Entry("approval:withdrawn", who, now, ref.model, ref.version, asked.state, state, reason, detail)
    work.record.write(entry)
