"""Asks for approval of a plan, and signs a yes or a no on it: by our own API, or by the tags older scripts write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from lockgate.domain.approvals import ApprovalRequest, Decision, RequestState, counting
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, Conflict, Forbidden, NotFound
from lockgate.domain.evidence import ArtifactFacts, Evidence, plan_digest
from lockgate.domain.identity import ANONYMOUS, Who
from lockgate.domain.policy import ApprovalRule, Policy, StageRules
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Level
from lockgate.domain.versions import VersionRef
from lockgate.usecases import validate, webhooks
from lockgate.usecases.gather import gather, inspect_artifacts
from lockgate.usecases.ports import Ports, Work

REQUEST_TAG = "approval_request"
APPROVED_TAG = "production_approved"


def request(ports: Ports, ref: VersionRef, who: Who, reason: str, stage: Stage = Stage.PRODUCTION) -> ApprovalRequest:
    """Ask for approval of the plan as it stands now. An earlier request for the same move is replaced by this one.

    Raises NotFound, and BadInput for a stage that is not gated.
    """
    if not stage.is_gated:
        raise BadInput(f"Moving to {stage} needs no approval.", hint="Name staging or production.")
    facts = _unchanged(ports, ref)
    with ports.store.writing(ref.model) as work:
        now, policy = ports.clock.now(), work.policies.in_force()
        evidence, rules = _evidence(work, policy, ref, stage, facts, now)
        digest = plan_digest(evidence, rules)
        asked = ApprovalRequest(ports.ids.new("apr"), ref, stage, who, reason, now, digest, RequestState.PENDING)
        work.approvals.add(asked)
        detail: dict[str, Plain] = {"request": asked.id, "plan": digest}
        work.record.write(Entry("approval:requested", who, now, ref.model, ref.version, "", stage, reason, detail))
        if policy.level_for(rules) is Level.ENFORCE and rules.validation_tests and evidence.validation is None:
            # run it now, so that the approver signs its results and they do not make the approval stale later
            validate.queue(work, id=ports.ids.new("val"), ref=ref, who=who, trigger="approval", at=now)
        _write_tags(work, asked)
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
) -> ApprovalRequest:
    """Sign a yes or a no on the plan as it stands now.

    Raises NotFound when nobody asked, Forbidden for the requester's own yes, and Conflict when it is decided already,
    a validation whose tests are enforced is still running, or the artifacts changed. A refused signature is on the
    record too.
    """
    facts = _unchanged(ports, ref)
    try:
        return _sign(ports, ref, who, facts, approved=approved, comment=comment, stage=stage)
    except (Forbidden, Conflict) as refusal:
        with ports.store.writing(ref.model) as work:
            act = "approve" if approved else "reject"
            entry = Entry(
                "approval:refused", who, ports.clock.now(), ref.model, ref.version, act, stage, refusal.message
            )
            work.record.write(entry)
        raise


def pending(ports: Ports) -> Sequence[ApprovalRequest]:
    """Every request that waits for an answer, oldest first."""
    with ports.store.reading() as work:
        return work.approvals.pending()


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
    if latest is None or latest.state is not wanted:
        decide(ports, ref, who, approved=wanted is RequestState.APPROVED, comment=f"by the tag {APPROVED_TAG}")


def _sign(
    ports: Ports, ref: VersionRef, who: Who, facts: ArtifactFacts, *, approved: bool, comment: str, stage: Stage
) -> ApprovalRequest:
    with ports.store.writing(ref.model) as work:
        now, policy = ports.clock.now(), work.policies.in_force()
        asked = work.approvals.latest(ref, stage)
        if asked is None:
            raise NotFound(
                f"Nobody has asked for approval of {ref} to {stage}.", hint=f"lockgate request {ref} --reason …"
            )
        evidence, rules = _evidence(work, policy, ref, stage, facts, now)
        rule = rules.approval or ApprovalRule()
        binds = policy.level_for(rules) is Level.ENFORCE
        _refuse_signature(asked, who, rule, evidence, rules, approved=approved, tests_bind=binds)
        decision = Decision(approved, who, comment, now, plan_digest(evidence, rules))
        decided = replace(asked, decisions=(*asked.decisions, decision))
        enough = len(counting(decided, rule, decision.plan_digest)) >= rule.approvals
        state = RequestState.REJECTED if not approved else RequestState.APPROVED if enough else RequestState.PENDING
        decided = replace(decided, state=state)
        work.approvals.decide(asked.id, decision, state)
        detail: dict[str, Plain] = {"request": asked.id, "plan": decision.plan_digest, "state": state.value}
        action = "approval:approved" if approved else "approval:rejected"
        work.record.write(Entry(action, who, now, ref.model, ref.version, "", stage, comment, detail))
        _write_tags(work, decided)
        work.promotions.due(ref.model, now)
    return decided


def _refuse_signature(
    asked: ApprovalRequest,
    who: Who,
    rule: ApprovalRule,
    evidence: Evidence,
    rules: StageRules,
    *,
    approved: bool,
    tests_bind: bool,
) -> None:
    what = f"{asked.ref} to {asked.stage}"
    if asked.state is RequestState.REJECTED or (asked.state is RequestState.APPROVED and approved):
        signed = asked.decisions[-1]
        if asked.state is RequestState.REJECTED or signed.plan_digest == plan_digest(evidence, rules):
            raise Conflict(
                f"The request for {what} was {asked.state} by {signed.who} already.",
                hint=f"Ask anew: lockgate request {asked.ref} --reason …",
            )
    if approved and rule.not_the_requester and who.name == asked.asked_by.name:
        raise Forbidden(
            f"{who.name} asked for {what} and may not approve it.",
            hint="Somebody else has to: --as NAME tells who acts.",
        )
    running = evidence.validation is not None and not evidence.validation.state.is_over
    # where tests only observe, one may still run after the move it was asked for: nobody waits for it
    if approved and running and rules.validation_tests and tests_bind:
        raise Conflict(
            f"A validation of {asked.ref} is still running, and its results belong to what is approved.",
            hint=f"Approve when it is done: lockgate status {asked.ref.model}",
        )


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


def _write_tags(work: Work, request: ApprovalRequest) -> None:
    """Mirror the true state in the two tags, so that scripts that read them read the truth."""
    if request.stage is not Stage.PRODUCTION:
        return
    told: dict[str, Plain] = {
        "status": request.state.value,
        "requester": request.asked_by.name,
        "justification": request.reason,
        "requested_at": request.asked_at.isoformat(),
        "approved_by": None,
        "approved_at": None,
    }
    if request.decisions:
        last = request.decisions[-1]
        if last.approved:
            told |= {"approved_by": last.who.name, "approved_at": last.at.isoformat(), "comments": last.comment}
        else:
            told |= {
                "reviewed_by": last.who.name,
                "reviewed_at": last.at.isoformat(),
                "rejection_reason": last.comment,
            }
    approved = request.state is RequestState.APPROVED
    for key, value in ((REQUEST_TAG, json.dumps(told)), (APPROVED_TAG, "true" if approved else None)):
        work.catalog.set_tag(request.ref, key, value)
        if approved or value is not None:
            webhooks.tagged(work, request.ref.model, request.ref.version, key, value)


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
