"""From what is true inside to the shapes that cross the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from lockgate.domain import (
    approvals,
    audit,
    checks,
    drift,
    evidence,
    identity,
    promotion,
    serving,
    validation,
    verdict,
    versions,
)
from lockgate.domain import plans as plan_parts
from lockgate.usecases import plan as plans
from lockgate.usecases import status as statuses
from lockgate.usecases.ports import Recorded, Work
from lockgate.usecases.verify_record import Checked
from lockgate.wire import shapes


def who(of: identity.Who) -> shapes.Who:
    """A caller."""
    return shapes.Who(of.name, of.verified, of.via, of.kind, of.address, of.request, of.token)


def gate(of: verdict.Gate) -> shapes.Gate:
    """One gate."""
    return shapes.Gate(of.name, of.standing.value, of.level.value, of.because, of.seen, of.required, of.next)


def judged(of: verdict.Verdict) -> shapes.Verdict:
    """A verdict with all its gates."""
    return shapes.Verdict(of.standing.value, of.would_be.value, tuple(gate(each) for each in of.gates))


def promoted(of: promotion.Promotion) -> shapes.Promotion:
    """A promotion."""
    return shapes.Promotion(
        id=of.id,
        model=of.ref.model,
        version=of.ref.version,
        stage=of.stage.value,
        kind=of.kind.value,
        state=of.state.value,
        lasting=of.lasting,
        archive_existing=of.archive_existing,
        asked_by=who(of.asked_by),
        reason=of.reason,
        asked_at=of.asked_at,
        because=of.because,
        verdict=judged(of.verdict) if of.verdict is not None else None,
        plan_digest=of.plan_digest,
        policy_digest=of.policy_digest,
        validation=of.validation,
        endpoint=of.endpoint,
        generation=of.generation,
        leaves=_number(of.leaves),
        state_since=of.state_since,
        closed_at=of.closed_at,
        asked_plan=of.asked_plan,
        evidence_digest=of.evidence_digest,
    )


def planned(of: plans.Plan) -> shapes.Plan:
    """A plan."""
    return shapes.Plan(
        model=of.ref.model,
        version=of.ref.version,
        stage=of.stage.value,
        verdict=judged(of.verdict),
        digest=of.digest,
        artifacts=of.artifacts,
        leavers=tuple(ref.version for ref in of.leavers),
        environment=of.environment,
        policy_digest=of.policy_digest,
        serves_now=_number(of.serves_now),
        parts=of.parts,
        release=_settings(of.release),
    )


def requested(of: approvals.ApprovalRequest) -> shapes.ApprovalRequest:
    """A request for approval with its decisions."""
    return shapes.ApprovalRequest(
        id=of.id,
        model=of.ref.model,
        version=of.ref.version,
        stage=of.stage.value,
        asked_by=who(of.asked_by),
        reason=of.reason,
        asked_at=of.asked_at,
        plan_digest=of.plan_digest,
        state=of.state.value,
        decisions=tuple(decided(each) for each in of.decisions),
        closed_because=of.closed_because,
    )


def decided(of: approvals.Decision) -> shapes.Decision:
    """One answer to a request."""
    return shapes.Decision(
        approved=of.approved,
        who=who(of.who),
        comment=of.comment,
        at=of.at,
        plan_digest=of.plan_digest,
        behalf=of.behalf,
        withdrawn_at=of.withdrawn_at,
        withdrawn_because=of.withdrawn_because,
    )


def _settings(of: plan_parts.ReleaseSettings | None) -> shapes.ReleaseSettings | None:
    return None if of is None else shapes.ReleaseSettings(of.engine, of.workers, of.timeout_seconds)


def validated(of: validation.Validation) -> shapes.Validation:
    """A validation with the results it has."""
    found = of.examination
    facts = found.facts if found is not None else None
    return shapes.Validation(
        id=of.id,
        model=of.ref.model,
        version=of.ref.version,
        state=of.state.value,
        asked_by=who(of.asked_by),
        asked_at=of.asked_at,
        trigger=of.trigger,
        digest=of.digest,
        results=tuple(_result(each) for each in found.results) if found is not None else (),
        libraries=tuple(shapes.Library(x.name, x.logged, x.installed) for x in facts.libraries) if facts else (),
        has_signature=facts.has_signature if facts is not None else None,
        inputs=facts.inputs if facts is not None else None,
        seconds=found.seconds if found is not None else None,
        because=of.because,
        finished_at=of.finished_at,
    )


def released(of: serving.Release) -> shapes.Release:
    """A release."""
    return shapes.Release(
        of.id, of.ref.model, of.ref.version, of.digest, of.engine, of.promotion, of.created_at, of.baked_at
    )


def endpoint(
    of: serving.Endpoint,
    groups: Iterable[serving.ObservedGroup],
    at: str,
    parked: Mapping[str, int] = MappingProxyType({}),
) -> shapes.Endpoint:
    """An endpoint with the worker groups the agent saw; `at` is what its address begins with: scheme and host.

    `parked` gives the version of each release that is neither committed nor the candidate.
    """
    return shapes.Endpoint(
        environment=of.environment,
        model=of.model,
        version=of.release.ref.version if of.release is not None else None,
        port=of.port,
        url=f"{at}:{of.port}" if of.port is not None else None,
        state=of.state.value,
        because=of.because,
        release=released(of.release) if of.release is not None else None,
        generation=of.generation,
        acknowledged=of.acknowledged,
        candidate=released(of.candidate) if of.candidate is not None else None,
        groups=tuple(_group(g, of, parked) for g in groups),
    )


def _group(seen: serving.ObservedGroup, of: serving.Endpoint, parked: Mapping[str, int]) -> shapes.Group:
    own = {release.id: release.ref.version for release in (of.release, of.candidate) if release is not None}
    waits = seen.state is serving.GroupState.READY and seen.release not in own
    version = own.get(seen.release, parked.get(seen.release))
    state = "parked" if waits else seen.state.value
    return shapes.Group(seen.release, state, seen.pids, seen.because, seen.seen_at, version, seen.memory)


def endpoints(work: Work, of: Iterable[serving.Endpoint], at: str) -> tuple[shapes.Endpoint, ...]:
    """Endpoints with what was seen of each."""
    return tuple(_with_groups(work, each, at) for each in of)


def _with_groups(work: Work, of: serving.Endpoint, at: str) -> shapes.Endpoint:
    seen = work.endpoints.observed(of.id)
    own = {release.id for release in (of.release, of.candidate) if release is not None}
    others = [work.endpoints.release(group.release) for group in seen if group.release not in own]
    return endpoint(of, seen, at, {release.id: release.ref.version for release in others if release is not None})


def check(ref: versions.VersionRef, of: checks.Check) -> shapes.Check:
    """A result from outside."""
    return shapes.Check(
        model=ref.model,
        version=ref.version,
        name=of.name,
        passed=of.passed,
        who=who(of.who),
        at=of.at,
        digest=of.digest,
        grade=of.grade.value,
        url=of.url,
        comment=of.comment,
    )


def version_status(of: statuses.VersionStatus) -> shapes.VersionStatus:
    """Where one version is."""
    numbered = of.numbered
    return shapes.VersionStatus(
        model=of.ref.model,
        version=of.ref.version,
        stage=of.stage.value,
        since=of.since,
        primary=of.primary,
        digest=of.digest,
        aliases=tuple(of.aliases),
        quarantine=_quarantine(of.quarantine),
        next_stage=of.next_stage.value if of.next_stage is not None else None,
        missing=tuple(gate(each) for each in of.missing),
        served_by=tuple(of.served_by),
        validation=validated(of.validation) if of.validation is not None else None,
        provenance=of.provenance,
        open_promotion=promoted(of.open_promotion) if of.open_promotion is not None else None,
        semantic_version=str(numbered.number) if numbered is not None and numbered.number is not None else None,
        semantic_because=numbered.because if numbered is not None else "",
        checks=tuple(check(of.ref, each) for each in of.checks),
    )


def model_status(of: statuses.ModelStatus, seen: tuple[shapes.Endpoint, ...]) -> shapes.ModelStatus:
    """One model; `seen` are its endpoints with what the agents saw."""
    return shapes.ModelStatus(
        of.model,
        tuple(version_status(each) for each in of.versions),
        seen,
        tuple(requested(each) for each in of.pending),
        tuple(difference(each) for each in of.drift),
    )


def difference(of: drift.Difference) -> shapes.Difference:
    """Something that was changed past Lockgate."""
    return shapes.Difference(
        of.kind.value, of.model, of.because, of.version, of.alias, of.held, of.found, of.restore, of.accept
    )


def overview(of: statuses.Overview, seen: Sequence[shapes.Endpoint]) -> shapes.Overview:
    """All models; `seen` are all endpoints with what the agents saw."""
    models = tuple(
        shapes.ModelSummary(
            m.model,
            m.versions,
            m.staging,
            m.production,
            tuple(each for each in seen if each.model == m.model),
            m.pending,
        )
        for m in of.models
    )
    return shapes.Overview(models, of.level.value, of.policy_digest, of.builtin, of.troubles)


def recorded(of: Recorded) -> shapes.AuditEntry:
    """An entry of the record, read from the very text that was hashed."""
    told = audit.Entry.from_plain(of.plain)
    return shapes.AuditEntry(
        hash=of.linked.hash,
        chain=of.linked.chain,
        number=of.linked.number,
        previous=str(of.plain["previous"]),
        at=told.at,
        who=who(told.who),
        action=told.action,
        model=told.model,
        version=told.version,
        before=told.before,
        after=told.after,
        why=told.why,
        detail=told.detail or {},
        text=of.linked.text,
    )


def checked(of: Checked) -> shapes.AuditCheck:
    """What a check of the record found."""
    breaks = tuple(shapes.AuditBreak(b.chain, b.number, b.because, b.position) for b in of.breaks)
    key = of.key.id if of.key else ""
    return shapes.AuditCheck(of.entries, breaks, of.count, of.placed, of.checkpoints, of.size, key, of.at)


def _result(of: validation.TestResult) -> shapes.TestResult:
    return shapes.TestResult(of.name, of.passed, of.because, dict(of.measured), tuple(of.warnings))


def _quarantine(of: evidence.Quarantine | None) -> shapes.Quarantine | None:
    return shapes.Quarantine(of.at, of.reason) if of is not None else None


def _number(of: versions.VersionRef | None) -> int | None:
    return of.version if of is not None else None
