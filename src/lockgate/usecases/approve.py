"""Asks for approval of a plan, and signs a yes or a no on it: by our own API, or by the tags older scripts write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lockgate.domain.access import Act
from lockgate.domain.approvals import ApprovalRequest, Asked, Decision, RequestState, expired, same_person, tally
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.consent import asked_of
from lockgate.domain.errors import BadInput, Conflict, Forbidden, NotFound
from lockgate.domain.evidence import ArtifactFacts, Evidence
from lockgate.domain.identity import ANONYMOUS, Who
from lockgate.domain.plans import parts
from lockgate.domain.policy import ApprovalRule, Policy, StageRules
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Level
from lockgate.domain.versions import VersionRef
from lockgate.usecases import plan, validate
from lockgate.usecases.approval_tags import APPROVED_TAG, REQUEST_TAG, mirror
from lockgate.usecases.archive import archive_rejected, may_archive_rejected
from lockgate.usecases.authorise import authorise
from lockgate.usecases.authority import refuse_own, refuse_two_voices, to_answer
from lockgate.usecases.consent_facts import roles_of
from lockgate.usecases.gather import gather, inspect_artifacts, stored_facts
from lockgate.usecases.people import logged_in
from lockgate.usecases.ports import Ports, Work


@dataclass(frozen=True, slots=True)
class Answer:
    """A yes or a no, and why. `plan` is the digest of the one plan it is meant for, or the beginning of it.

    `archive` also archives what is rejected.
    """

    approved: bool
    comment: str
    plan: str = ""
    archive: bool = False


def request(ports: Ports, ref: VersionRef, who: Who, reason: str, stage: Stage = Stage.PRODUCTION) -> ApprovalRequest:
    """Ask for approval of the plan as it stands now. An earlier request for the same move is replaced by this one.

    Raises NotFound, Forbidden, and BadInput for a stage that is not gated.
    """
    if not stage.is_gated:
        raise BadInput(f"Moving to {stage} needs no approval.", hint="Name staging or production.")
    facts = _unchanged(ports, ref)
    with ports.store.writing(ref.model) as work:
        logged_in(work, who)
        authorise(work, who, Act.ASK, ref.model)
        now, policy = ports.clock.now(), work.policies.in_force()
        evidence, rules = _evidence(work, policy, ref, stage, facts, now)
        digest = asked_of(evidence, rules).plan_digest
        asked = ApprovalRequest(ports.ids.new("apr"), ref, stage, who, reason, now, digest, RequestState.PENDING)
        _replace(work, ref, stage, asked)
        work.approvals.keep_plan(digest, parts(evidence, rules), now)
        work.approvals.add(asked)
        detail: dict[str, Plain] = {"request": asked.id, "plan": digest}
        work.record.write(Entry("approval:requested", who, now, ref.model, ref.version, "", stage, reason, detail))
        if policy.level_for(rules) is Level.ENFORCE and rules.validation_tests and evidence.validation is None:
            # run it now, so that the approver signs its results and they do not make the approval stale later
            validate.queue(work, id=ports.ids.new("val"), ref=ref, who=who, trigger="approval", at=now)
        mirror(work, asked)
        work.promotions.due(ref.model, now)
    return asked


def decide(
    ports: Ports,
    ref: VersionRef,
    who: Who,
    *,
    approved: bool,
    comment: str,
    stage: Stage = Stage.PRODUCTION,
    plan: str = "",
    archive: bool = False,
) -> ApprovalRequest:
    """Sign a yes or a no on the plan as it stands now; with `plan` only if that is still the one it names.

    Raises NotFound when nobody asked, Forbidden for the requester's own yes and without the role, BadInput for a yes
    without the reason that the policy asks for, and Conflict when it is decided already or was not answered in time,
    the plan is another one, a validation whose tests are enforced is still running, or the artifacts changed. A refused
    signature is on the record too. `archive` archives the version that is rejected.
    """
    facts = _unchanged(ports, ref)
    answer = Answer(approved, comment, plan, archive and not approved)
    try:
        return _sign(ports, ref, who, facts, answer, stage)
    except (Forbidden, Conflict) as refusal:
        with ports.store.writing(ref.model) as work:
            act = "approve" if approved else "reject"
            entry = Entry(
                "approval:refused", who, ports.clock.now(), ref.model, ref.version, act, stage, refusal.message
            )
            work.record.write(entry)
        raise


def pending(ports: Ports, limit: int = 100, after: str = "") -> Sequence[ApprovalRequest]:
    """The requests that wait for an answer, oldest first; those after the request `after`. Raises NotFound."""
    with ports.store.reading() as work:
        return work.approvals.pending(limit, after)


def tag_request(ports: Ports, ref: VersionRef, value: str, who: Who) -> None:
    """Understand a write of the tag `approval_request` as the act it means, in the caller's own name.

    A caller without a name acts under the one the tag claims. Raises BadInput naming what the tag must hold.
    """
    told = _parsed(value)
    match told.get("status"):
        case "pending":
            request(ports, ref, _named(who, told.get("requester")), str(told.get("justification") or ""))
        case "approved":
            name = _named(who, told.get("approved_by"))
            decide(ports, ref, name, approved=True, comment=str(told.get("comments") or ""))
        case "rejected":
            name = _named(who, told.get("reviewed_by"))
            decide(ports, ref, name, approved=False, comment=str(told.get("rejection_reason") or ""))
        case other:
            raise BadInput(
                f"The tag {REQUEST_TAG} has the status {other!r}.",
                hint="Its status is pending, approved or rejected; or use lockgate request, approve and reject.",
            )


def tag_approved(ports: Ports, ref: VersionRef, value: str, who: Who) -> None:
    """Understand a write of the tag `production_approved`: `true` approves, `false` rejects.

    Saying again what is already so changes nothing.
    """
    wanted = {"true": RequestState.APPROVED, "false": RequestState.REJECTED}.get(value.strip().lower())
    if wanted is None:
        raise BadInput(f"The tag {APPROVED_TAG} cannot be {value!r}.", hint="Write true or false.")
    with ports.store.reading() as work:
        latest = work.approvals.latest(ref, Stage.PRODUCTION)
        already = latest is not None and latest.state is wanted and _still_holds(ports, work, latest)
    if not already:
        decide(ports, ref, who, approved=wanted is RequestState.APPROVED, comment=f"by the tag {APPROVED_TAG}")


def _still_holds(ports: Ports, work: Work, request: ApprovalRequest) -> bool:
    """Whether what was decided is still so: a no is, and a yes as long as it counts."""
    if request.state is RequestState.REJECTED:
        return True
    policy, facts = work.policies.in_force(), stored_facts(work, request.ref)
    evidence, rules = _evidence(work, policy, request.ref, request.stage, facts, ports.clock.now())
    return tally(request, replace(asked_of(evidence, rules), roles=roles_of(work, request))).enough


def _sign(
    ports: Ports, ref: VersionRef, who: Who, facts: ArtifactFacts, answer: Answer, stage: Stage
) -> ApprovalRequest:
    with ports.store.writing(ref.model) as work:
        logged_in(work, who)
        policy = work.policies.in_force()
        asked = work.approvals.latest(ref, stage)
        if asked is None:
            raise NotFound(
                f"Nobody has asked for approval of {ref} to {stage}.", hint=f"lockgate request {ref} --reason …"
            )
        # a clock that was set back since makes no answer older than what it answers
        now = ports.clock.now()
        at = max(now, asked.asked_at)
        evidence, rules = _evidence(work, policy, ref, stage, facts, now)
        rule = rules.approval or ApprovalRule()
        held = asked_of(evidence, rules)
        # a request that no rule reads, and the roles of whoever answers it
        held = replace(held, roles=held.roles or roles_of(work, asked))
        taking_back = not answer.approved and same_person(who.name, asked.asked_by.name)
        behalf = "" if taking_back else to_answer(work, who, asked, rule, now)
        plan.refuse_other(work, evidence, rules, answer.plan)
        decision = Decision(answer.approved, who, answer.comment, at, held.plan_digest, behalf)
        _refuse_closed(asked, decision, held, now)
        if answer.approved:
            refuse_own(asked, rule, who, behalf)
            refuse_two_voices(asked, decision)
            binds = policy.level_for(rules) is Level.ENFORCE
            _refuse_yes(asked, answer, rule, evidence, rules, tests_bind=binds)
        if answer.archive:
            may_archive_rejected(work, ref)
        decided = replace(asked, decisions=(*asked.decisions, decision))
        held = replace(held, now=at, roles=roles_of(work, decided))
        state = RequestState.REJECTED
        if answer.approved:
            state = RequestState.APPROVED if tally(decided, held).enough else RequestState.PENDING
        decided = replace(decided, state=state)
        work.approvals.keep_plan(decision.plan_digest, parts(evidence, rules), now)
        work.approvals.decide(asked.id, decision, state)
        _put_on_record(work, decided, decision)
        mirror(work, decided)
        work.promotions.due(ref.model, now)
        if answer.archive:
            archive_rejected(ports, work, ref, who, answer.comment)
    return decided


def _put_on_record(work: Work, asked: ApprovalRequest, decision: Decision) -> None:
    detail: dict[str, Plain] = {"request": asked.id, "plan": decision.plan_digest, "state": asked.state.value}
    if decision.behalf:
        detail["for"] = decision.behalf
    action = "approval:approved" if decision.approved else "approval:rejected"
    ref, who = asked.ref, decision.who
    entry = Entry(action, who, decision.at, ref.model, ref.version, "", asked.stage, decision.comment, detail)
    work.record.write(entry)


def _refuse_closed(asked: ApprovalRequest, decision: Decision, held: Asked, now: datetime) -> None:
    """Raise Conflict for a request that was turned down or taken back, or needs no other yes."""
    what, anew = f"{asked.ref} to {asked.stage}", f"Ask anew: lockgate request {asked.ref} --reason …"
    if asked.state is RequestState.WITHDRAWN:
        raise Conflict(f"The request for {what} was withdrawn: {asked.closed_because}", hint=anew)
    if asked.state is RequestState.REJECTED:
        by = f" by {asked.decisions[-1]}" if asked.decisions else ""
        raise Conflict(f"The request for {what} was rejected{by} already.", hint=anew)
    found = tally(asked, held)
    if decision.approved and asked.state is RequestState.APPROVED and found.enough:
        raise Conflict(f"The request for {what} was approved by {found.counted[-1]} already.", hint=anew)
    if decision.approved and expired(asked, held.rule, now):
        raise Conflict(f"The request for {what} was not answered in time.", hint=anew)


def _refuse_yes(
    asked: ApprovalRequest,
    answer: Answer,
    rule: ApprovalRule,
    evidence: Evidence,
    rules: StageRules,
    *,
    tests_bind: bool,
) -> None:
    if rule.comment_required and not answer.comment.strip():
        raise BadInput("The policy asks for the reason of a yes.", hint="Give it with --comment '…'.")
    running = evidence.validation is not None and not evidence.validation.state.is_over
    # where tests only observe, one may still run after the move it was asked for: nobody waits for it
    if running and rules.validation_tests and tests_bind:
        raise Conflict(
            f"A validation of {asked.ref} is still running, and its results belong to what is approved.",
            hint=f"Approve when it is done: lockgate status {asked.ref.model}",
        )


def _replace(work: Work, ref: VersionRef, stage: Stage, by: ApprovalRequest) -> None:
    """Close an unanswered request for the same move: only the latest one counts."""
    earlier = work.approvals.latest(ref, stage)
    if earlier is not None and earlier.state is RequestState.PENDING:
        work.approvals.close(earlier.id, RequestState.WITHDRAWN, f"{by.asked_by.name} asked anew")


def _unchanged(ports: Ports, ref: VersionRef) -> ArtifactFacts:
    facts = inspect_artifacts(ports, ref)
    if facts.differences:
        raise Conflict(
            f"The artifacts of {ref} are no longer what was pinned: {', '.join(facts.differences)}.",
            hint="Restore the files, or register the changed model as a new version.",
        )
    return facts


def _evidence(
    work: Work, policy: Policy, ref: VersionRef, stage: Stage, facts: ArtifactFacts, now: datetime
) -> tuple[Evidence, StageRules]:
    rules = policy.rules(ref.model, stage)
    return gather(work, policy, ref, stage, facts, now, archive_existing=True), rules


def _parsed(value: str) -> Mapping[str, Any]:
    try:
        told = json.loads(value)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise BadInput(
            f"The tag {REQUEST_TAG} is not a JSON object.",
            hint="It holds status, requester and justification; or use lockgate request.",
        )
    return told


def _named(who: Who, claimed: object) -> Who:
    if who.name == ANONYMOUS and isinstance(claimed, str) and claimed.strip():
        return replace(who, name=claimed.strip()[:256])
    return who
