"""Routes about policies: the one in force, checking and applying another, and what each gate asks of a version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter

from lockgate.domain.errors import BadInput
from lockgate.domain.policy import Origin, Policy
from lockgate.domain.replay import Replayed
from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import body_of, described, stage_of, version_ref
from lockgate.server.authorise import lacking
from lockgate.server.identity import caller
from lockgate.usecases import apply_policy, explain, replay, simulate
from lockgate.usecases.custom_rules import CustomRules
from lockgate.usecases.ports import Ports
from lockgate.wire import policies as wire
from lockgate.wire.requests import PolicyText
from lockgate.wire.shapes import PolicyCheck, PolicyInForce


def routes(ports: Ports, parse_policy: Callable[[str | None], Policy], trial: CustomRules | None = None) -> APIRouter:
    """The routes over these ports. `parse_policy` reads a text and checks its custom rules; it raises BadInput.

    `trial` evaluates those of policies that are only tried, so that a promotion never waits for one.
    """
    router = APIRouter(tags=["policy"])

    @router.get("/policy", response_model=PolicyInForce)
    def read_policy() -> Json:
        """The policy by which gates are judged now."""
        with ports.store.reading() as work:
            policy, text = work.policies.in_force(), work.policies.text()
        return Json(PolicyInForce(policy.digest, policy.level.value, text is None, text))

    @router.post("/policy/check", response_model=PolicyCheck, openapi_extra=described(PolicyText))
    def check_policy(body: Annotated[PolicyText, body_of(PolicyText)]) -> Json:
        """Whether a policy file's text is right, without applying it. A wrong one is 200 too, with valid false."""
        try:
            policy = parse_policy(body.text)
        except BadInput as error:
            return Json(PolicyCheck(valid=False, because=error.message, hint=error.hint.strip()))
        return Json(PolicyCheck(valid=True, digest=policy.digest, level=policy.level.value))

    @router.post("/policy/explain", response_model=wire.Explanation, openapi_extra=described(wire.ExplainAsk))
    def explain_policy(body: Annotated[wire.ExplainAsk, body_of(wire.ExplainAsk)]) -> Json:
        """Each gate of a move with what it sees now, and the line of the policy that asks for it. Moves nothing."""
        ref, stage = version_ref(body.model, body.version), stage_of(body.to)
        return Json(_explanation(explain.explain(ports, ref, stage, archive_existing=body.archive_existing)))

    @router.post("/policy/apply", response_model=wire.AppliedPolicy, openapi_extra=described(wire.ApplyAsk))
    def apply(body: Annotated[wire.ApplyAsk, body_of(wire.ApplyAsk)]) -> Json:
        """Put a policy in force for every server. The one that is in force already changes nothing.

        Once there are users it waits for a second administrator: 202, with the id of the proposal.
        """
        policy = parse_policy(body.text)
        done = apply_policy.change(ports, body.text, lambda _: policy, caller(), body.reason)
        told = wire.AppliedPolicy(policy.digest, policy.level.value, True, done.changed, done.before)
        if done.proposal is None:
            return Json(told)
        return Json(replace(told, in_force=False, proposal=done.proposal.id), status_code=202)

    @router.post("/policy/simulate", response_model=wire.SimulatedPage, openapi_extra=described(wire.SimulateAsk))
    def simulate_policy(body: Annotated[wire.SimulateAsk, body_of(wire.SimulateAsk)]) -> Json:
        """A page of the history judged under another policy, oldest first. Changes nothing."""
        asked = simulate.Asked(body.since, body.model, body.after, body.limit)
        apart = ports if trial is None else replace(ports, custom=trial)
        page = simulate.simulate(apart, parse_policy(body.text), asked)
        theirs = tuple(each for each in page.rejudged if lacking(each.promotion.ref.model) is None)
        return Json(_page(replace(page, rejudged=theirs)))

    @router.post("/audit/replay", response_model=wire.ReplayedVerdict, openapi_extra=described(wire.ReplayAsk))
    def replay_entry(body: Annotated[wire.ReplayAsk, body_of(wire.ReplayAsk)]) -> Json:
        """Judge the verdict that an entry tells of again, by the evidence and the policy of that day."""
        found = replay.replay_entry(ports, body.entry)
        if (refusal := lacking(found.then.ref.model)) is not None:
            raise refusal
        return Json(_replayed(body.entry, found))

    return router


def _explanation(of: explain.Explanation) -> wire.Explanation:
    return wire.Explanation(
        model=of.ref.model,
        version=of.ref.version,
        stage=of.stage.value,
        standing=of.verdict.standing.value,
        would_be=of.verdict.would_be.value,
        level=of.level.value,
        policy_digest=of.policy_digest,
        builtin=of.builtin,
        gates=tuple(_gate(each) for each in of.gates),
    )


def _gate(of: explain.Explained) -> wire.ExplainedGate:
    gate = of.gate
    return wire.ExplainedGate(
        name=gate.name,
        standing=gate.standing.value,
        level=gate.level.value,
        because=gate.because,
        seen=gate.seen,
        required=gate.required,
        next=gate.next,
        grade=of.grade,
        at=of.at,
        source=_source(of.origin) if of.origin is not None else None,
        branches=tuple(wire.ExplainedBranch(tuple(_gate(each) for each in gates)) for gates in of.branches),
    )


def _page(of: simulate.Page) -> wire.SimulatedPage:
    different = tuple(_rejudged(each) for each in of.rejudged if not each.found.same)
    judged = len(of.rejudged)
    return wire.SimulatedPage(
        of.policy.digest, judged, judged - len(different), of.looked_at, of.total, different, of.next
    )


def _rejudged(of: simulate.Rejudged) -> wire.Rejudged:
    promotion, found = of.promotion, of.found
    return wire.Rejudged(
        promotion=promotion.id,
        model=promotion.ref.model,
        version=promotion.ref.version,
        stage=promotion.stage.value,
        at=promotion.closed_at or promotion.asked_at,
        then=found.then.value,
        now=str(found.now),
        because=found.because,
        lacking=found.lacking,
    )


def _replayed(entry: str, of: Replayed) -> wire.ReplayedVerdict:
    return wire.ReplayedVerdict(
        entry=entry,
        model=of.then.ref.model,
        version=of.then.ref.version,
        stage=of.then.stage.value,
        then=of.then.standing.value,
        now=of.now.standing.value,
        evidence=of.then.evidence_digest,
        policy=of.then.policy_digest,
        gates=tuple(translate.gate(each) for each in of.now.gates),
        differences=of.differences,
    )


def _source(of: Origin) -> wire.Source:
    return wire.Source(of.key, of.line, of.says, tuple(str(other) for other in of.over))
