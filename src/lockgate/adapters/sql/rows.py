"""Between rows and the domain's values: the shapes that take more than one column, or one column of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from lockgate.domain.approvals import ApprovalRequest, Decision, RequestState
from lockgate.domain.identity import PERSON, Who
from lockgate.domain.promotion import Kind, Promotion, PromotionState
from lockgate.domain.serving import Endpoint, EndpointState, GroupState, ObservedGroup, Release
from lockgate.domain.stages import Stage
from lockgate.domain.validation import Examination, Library, ModelFacts, TestResult, Validation, ValidationState
from lockgate.domain.verdict import Verdict
from lockgate.domain.versions import VersionRef


def who_columns(column: str, who: Who) -> dict[str, Any]:
    """The three columns of a caller."""
    return {column: who.name, f"{column}_verified": who.verified, f"{column}_via": who.via}


def origin_columns(column: str, who: Who) -> dict[str, Any]:
    """The three columns of what the record tells of a caller besides, in tables that have them."""
    return {f"{column}_kind": who.kind, f"{column}_address": who.address, f"{column}_request": who.request}


def who_of(column: str, row: Row[Any]) -> Who:
    """The caller in those columns."""
    found = row._mapping
    return Who(
        name=found[column],
        verified=bool(found[f"{column}_verified"]),
        via=found[f"{column}_via"],
        kind=found.get(f"{column}_kind", PERSON),
        address=found.get(f"{column}_address", ""),
        request=found.get(f"{column}_request", ""),
    )


def promotion_columns(promotion: Promotion) -> dict[str, Any]:
    """Every column of a promotion but its id, its model and its lease."""
    closed_at = promotion.closed_at
    if closed_at is None and promotion.state.is_over:
        closed_at = promotion.state_since or promotion.asked_at  # closed rows are told by this column alone
    return {
        "version": promotion.ref.version,
        "stage": promotion.stage.value,
        "kind": promotion.kind.value,
        "lasting": promotion.lasting,
        "archive_existing": promotion.archive_existing,
        **who_columns("asked_by", promotion.asked_by),
        **origin_columns("asked_by", promotion.asked_by),
        "reason": promotion.reason,
        "asked_at": promotion.asked_at,
        "state": promotion.state.value,
        "because": promotion.because,
        "verdict": json.dumps(promotion.verdict.as_plain()) if promotion.verdict else None,
        "plan_digest": promotion.plan_digest,
        "policy_digest": promotion.policy_digest,
        "evidence_digest": promotion.evidence_digest,
        "validation": promotion.validation,
        "endpoint": promotion.endpoint,
        "candidate": promotion.candidate,
        "generation": promotion.generation,
        "leaves": promotion.leaves.version if promotion.leaves else None,
        "judgements": promotion.judgements,
        "state_since": promotion.state_since,
        "closed_at": closed_at,
        "asked_plan": promotion.asked_plan,
    }


def promotion_of(row: Row[Any]) -> Promotion:
    """The promotion in a row that also names its model."""
    return Promotion(
        id=row.id,
        ref=VersionRef(row.model, row.version),
        stage=Stage(row.stage),
        kind=Kind(row.kind),
        lasting=row.lasting,
        archive_existing=row.archive_existing,
        asked_by=who_of("asked_by", row),
        reason=row.reason,
        asked_at=row.asked_at,
        state=PromotionState(row.state),
        because=row.because,
        verdict=Verdict.from_plain(json.loads(row.verdict)) if row.verdict else None,
        plan_digest=row.plan_digest,
        policy_digest=row.policy_digest,
        evidence_digest=row.evidence_digest,
        validation=row.validation,
        endpoint=row.endpoint,
        candidate=row.candidate,
        generation=row.generation,
        leaves=VersionRef(row.model, row.leaves) if row.leaves is not None else None,
        judgements=row.judgements,
        state_since=row.state_since,
        closed_at=row.closed_at,
        asked_plan=row.asked_plan,
    )


def validation_columns(validation: Validation) -> dict[str, Any]:
    """Every column of a validation but its id, its model and its lease."""
    finished_at = validation.finished_at
    if finished_at is None and validation.state.is_over:
        finished_at = validation.asked_at  # finished rows are told by this column alone
    return {
        "version": validation.ref.version,
        "state": validation.state.value,
        **who_columns("asked_by", validation.asked_by),
        **origin_columns("asked_by", validation.asked_by),
        "asked_at": validation.asked_at,
        "trigger": validation.trigger,
        "digest": validation.digest,
        "examination": json.dumps(_examination_plain(validation.examination)) if validation.examination else None,
        "because": validation.because,
        "finished_at": finished_at,
    }


def validation_of(row: Row[Any]) -> Validation:
    """The validation in a row that also names its model."""
    return Validation(
        id=row.id,
        ref=VersionRef(row.model, row.version),
        state=ValidationState(row.state),
        asked_by=who_of("asked_by", row),
        asked_at=row.asked_at,
        trigger=row.trigger,
        digest=row.digest,
        examination=_examination_of(json.loads(row.examination)) if row.examination else None,
        because=row.because,
        finished_at=row.finished_at,
    )


def _examination_plain(examination: Examination) -> dict[str, Any]:
    facts = examination.facts
    return {
        "results": [
            {
                "name": r.name,
                "passed": r.passed,
                "because": r.because,
                "measured": dict(r.measured),
                "warnings": list(r.warnings),
            }
            for r in examination.results
        ],
        "facts": facts
        and {
            "has_signature": facts.has_signature,
            "libraries": [{"name": x.name, "logged": x.logged, "installed": x.installed} for x in facts.libraries],
            "inputs": facts.inputs,
        },
        "seconds": examination.seconds,
    }


def _examination_of(plain: Mapping[str, Any]) -> Examination:
    facts = plain["facts"]
    return Examination(
        results=tuple(TestResult(**{**result, "warnings": tuple(result["warnings"])}) for result in plain["results"]),
        facts=ModelFacts(facts["has_signature"], tuple(Library(**x) for x in facts["libraries"]), facts["inputs"])
        if facts
        else None,
        seconds=plain["seconds"],
    )


def request_of(row: Row[Any], decisions: tuple[Decision, ...]) -> ApprovalRequest:
    """The request in a row that also names its model, with its decisions."""
    return ApprovalRequest(
        id=row.id,
        ref=VersionRef(row.model, row.version),
        stage=Stage(row.stage),
        asked_by=who_of("asked_by", row),
        reason=row.reason,
        asked_at=row.asked_at,
        plan_digest=row.plan_digest,
        state=RequestState(row.state),
        decisions=decisions,
        closed_because=row.closed_because,
    )


def decision_of(row: Row[Any]) -> Decision:
    """One answer to a request."""
    return Decision(
        approved=row.approved,
        who=who_of("who", row),
        comment=row.comment,
        at=row.at,
        plan_digest=row.plan_digest,
        behalf=row.behalf,
        withdrawn_at=row.withdrawn_at,
        withdrawn_because=row.withdrawn_because,
    )


def release_of(row: Row[Any]) -> Release:
    """The release in a row that also names its model."""
    ref = VersionRef(row.model, row.version)
    engine = f"{row.engine} {row.converted}".rstrip()
    return Release(row.id, row.endpoint, ref, row.digest, engine, row.promotion, row.created_at, row.baked_at)


def endpoint_of(row: Row[Any], releases: Mapping[str, Release]) -> Endpoint:
    """The endpoint in a row that also names its model. What its agent holds against it shows as degraded."""
    state, because = EndpointState(row.state), row.because
    if row.differs and state is not EndpointState.RETIRED:
        state, because = EndpointState.DEGRADED, row.differs
    return Endpoint(
        id=row.id,
        environment=row.environment,
        model=row.model,
        port=row.port,
        release=releases.get(row.release),
        generation=row.generation,
        acknowledged=row.acknowledged,
        state=state,
        because=because,
        candidate=releases.get(row.candidate),
    )


def group_of(row: Row[Any]) -> ObservedGroup:
    """What an agent saw of one worker group."""
    pids = tuple(json.loads(row.pids))
    return ObservedGroup(row.endpoint, row.release, GroupState(row.state), row.because, pids, row.seen_at, row.memory)
