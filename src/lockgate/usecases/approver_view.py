"""What an approver looks at: the version that asks beside the one it would follow, on one page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lockgate.domain.approvals import ApprovalRequest, Decision, expired, tally
from lockgate.domain.consent import asked_of
from lockgate.domain.errors import NotFound
from lockgate.domain.evidence import Evidence, Metric
from lockgate.domain.plans import Change, changes, parts
from lockgate.domain.policy import ApprovalRule, StageRules
from lockgate.domain.stages import Stage
from lockgate.domain.validation import Library, Validation
from lockgate.domain.versions import VersionRef
from lockgate.usecases import plan
from lockgate.usecases.approval_ports import Training
from lockgate.usecases.approval_tags import APPROVED_TAG, REQUEST_TAG
from lockgate.usecases.consent_facts import roles_of
from lockgate.usecases.gather import catalog_version, gather, lifecycle, stored_facts
from lockgate.usecases.plan import Plan
from lockgate.usecases.ports import Ports, Work
from lockgate.usecases.semver import changes_between

_OWN_TAGS = frozenset({REQUEST_TAG, APPROVED_TAG})


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two versions: what was measured, tagged and tested of it, and the run that made it."""

    ref: VersionRef
    stage: Stage
    digest: str | None
    metrics: Mapping[str, Metric]
    tags: Mapping[str, str]
    validation: Validation | None
    training: Training | None
    run_id: str | None
    registered_by: str
    description: str

    @property
    def libraries(self) -> Mapping[str, Library]:
        """The libraries that a validation found in its files, by name."""
        examination = self.validation.examination if self.validation else None
        facts = examination.facts if examination else None
        return {library.name: library for library in facts.libraries} if facts else {}


@dataclass(frozen=True, slots=True)
class Beside:
    """One value of both: None where a version has none. `delta` is the new one's less the champion's."""

    name: str
    candidate: float | None
    champion: float | None

    @property
    def delta(self) -> float | None:
        """None where one of the two is missing or no number."""
        if self.candidate is None or self.champion is None:
            return None
        found = self.candidate - self.champion
        return found if math.isfinite(found) else None


@dataclass(frozen=True, slots=True)
class View:
    """All of it. `changed` is what is different now from the plan that was put up; `signature` None: not known yet."""

    request: ApprovalRequest
    plan: Plan
    changed: tuple[Change, ...]
    counted: tuple[Decision, ...]
    ignored: tuple[tuple[Decision, str], ...]
    missing: tuple[str, ...]
    candidate: Side
    champion: Side | None
    metrics: tuple[Beside, ...]
    signature: tuple[str, ...] | None
    libraries: tuple[Change, ...]
    rule: ApprovalRule = field(default_factory=ApprovalRule)
    is_expired: bool = False


def view(ports: Ports, id: str) -> View:
    """Everything about a request. Raises NotFound. Reads the version's files, as a plan does, and keeps the plan."""
    with ports.store.reading() as work:
        found = work.approvals.get(id)
    if found is None:
        raise NotFound(f"There is no request for approval {id}.", hint="lockgate approvals list shows those that wait.")
    # kept, since it is what was looked at: a yes to it can say later what changed
    made = plan.plan(ports, found.ref, found.stage, keep=True)
    with ports.store.reading() as work:
        return _view(ports, work, found, made)


def _view(ports: Ports, work: Work, request: ApprovalRequest, made: Plan) -> View:
    policy, now, ref = work.policies.in_force(), ports.clock.now(), request.ref
    rules: StageRules = policy.rules(ref.model, request.stage)
    facts = stored_facts(work, ref)
    evidence: Evidence = gather(work, policy, ref, request.stage, facts, now, archive_existing=True)
    held = replace(asked_of(evidence, rules), roles=roles_of(work, request))
    counted = tally(request, held)
    candidate, champion = _side(work, ref), _champion(work, ref, rules.champion_stage)
    signed = work.approvals.plan(request.plan_digest)
    return View(
        request=request,
        plan=made,
        changed=changes(signed, parts(evidence, rules)) if signed is not None else (),
        counted=counted.counted,
        ignored=counted.ignored,
        missing=counted.missing,
        candidate=candidate,
        champion=champion,
        metrics=_metrics(candidate, champion),
        signature=_signature(work, candidate, champion),
        libraries=_libraries(candidate, champion),
        rule=held.rule,
        is_expired=expired(request, held.rule, now),
    )


def _side(work: Work, ref: VersionRef) -> Side:
    known, row = catalog_version(work, ref), lifecycle(work, ref)
    return Side(
        ref=ref,
        stage=row.stage,
        digest=row.digest,
        metrics=work.catalog.metrics(ref),
        tags={key: value for key, value in known.tags.items() if key not in _OWN_TAGS},
        validation=work.validations.latest(ref, row.digest) if row.digest is not None else None,
        training=work.trainings.of_run(known.run_id) if known.run_id else None,
        run_id=known.run_id,
        registered_by=str(row.registered_by),
        description=known.description,
    )


def _champion(work: Work, ref: VersionRef, stage: Stage) -> Side | None:
    """The primary of the stage that the rules compare with; none when that is the version that asks."""
    newest = work.versions.newest_in_stage(ref.model, stage)
    other = VersionRef(ref.model, newest) if newest is not None else None
    if other is None or other == ref or work.catalog.version(other) is None:
        return None
    return _side(work, other)


def _metrics(candidate: Side, champion: Side | None) -> tuple[Beside, ...]:
    theirs = champion.metrics if champion else {}
    return tuple(
        Beside(name, _value(candidate.metrics.get(name)), _value(theirs.get(name)))
        for name in sorted(candidate.metrics.keys() | theirs.keys())
    )


def _value(metric: Metric | None) -> float | None:
    return None if metric is None else float(metric.value)


def _signature(work: Work, candidate: Side, champion: Side | None) -> tuple[str, ...] | None:
    if champion is None:
        return ()
    found = changes_between(work, champion.ref, candidate.ref)
    return None if found is None else tuple(str(change) for change in found)


def _libraries(candidate: Side, champion: Side | None) -> tuple[Change, ...]:
    """What each was logged with, where the two differ; nothing while one of the two has not been looked at."""
    if champion is None or not candidate.libraries or not champion.libraries:
        return ()
    old = {name: library.logged for name, library in champion.libraries.items()}
    return changes(old, {name: library.logged for name, library in candidate.libraries.items()})
