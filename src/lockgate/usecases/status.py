"""Where every version is, what serves, and what is still missing for the next stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lockgate.domain.approvals import ApprovalRequest
from lockgate.domain.checks import Check
from lockgate.domain.drift import Difference
from lockgate.domain.errors import NotFound
from lockgate.domain.evidence import Evidence, Quarantine
from lockgate.domain.policy import Policy, StageRules
from lockgate.domain.promotion import Promotion
from lockgate.domain.rules import judge
from lockgate.domain.serving import Endpoint
from lockgate.domain.stages import Stage
from lockgate.domain.validation import Validation
from lockgate.domain.verdict import Gate, Level
from lockgate.domain.versions import VersionRef
from lockgate.usecases.custom_rules import evaluated
from lockgate.usecases.gather import gather, stored_facts
from lockgate.usecases.ports import Lifecycle, Ports, Work
from lockgate.usecases.semver_ports import Numbered

NEXT = {Stage.NONE: Stage.STAGING, Stage.STAGING: Stage.PRODUCTION, Stage.ARCHIVED: Stage.STAGING}
FOR_CUSTOM_RULES = timedelta(seconds=5)  # of the versions after that, the custom rules are not evaluated here


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version. `missing` holds the gates of `next_stage` that do not hold; `served_by` names environments.

    `numbered` is None until its semantic version was looked at; `checks` are those that count of each name.
    """

    ref: VersionRef
    stage: Stage
    since: datetime
    primary: bool
    digest: str | None
    aliases: tuple[str, ...]
    quarantine: Quarantine | None
    next_stage: Stage | None
    missing: tuple[Gate, ...]
    served_by: tuple[str, ...]
    validation: Validation | None
    provenance: str
    open_promotion: Promotion | None
    numbered: Numbered | None = None
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model: its versions newest first, its endpoints, the approvals it waits for, what was changed past us."""

    model: str
    versions: tuple[VersionStatus, ...]
    endpoints: tuple[Endpoint, ...]
    pending: tuple[ApprovalRequest, ...]
    drift: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One line of the overview; `staging` and `production` are the primaries' numbers."""

    model: str
    versions: int
    staging: int | None
    production: int | None
    endpoints: tuple[Endpoint, ...]
    pending: int


@dataclass(frozen=True, slots=True)
class Overview:
    """Every model, and the policy in force (`builtin` when no file was applied).

    `troubles` are of the whole node: places where checkpoints should be written and cannot.
    """

    models: tuple[ModelSummary, ...]
    level: Level
    policy_digest: str
    builtin: bool
    troubles: tuple[str, ...] = ()


def of_model(ports: Ports, model: str) -> ModelStatus:
    """Everything about one model. Reads no artifact: a changed file shows at the next promotion. Raises NotFound."""
    with ports.store.reading() as work:
        if not work.catalog.has_model(model):
            raise NotFound(f"Registered Model with name={model} not found", hint="lockgate status lists the models.")
        policy, now = work.policies.in_force(), ports.clock.now()
        endpoints = tuple(work.endpoints.of_model(model))
        found = [_version(work, policy, row, endpoints, now) for row in work.versions.of_model(model)]
        waiting = tuple(work.approvals.pending_of(model))
        differing = tuple(work.drift.differences(model))
    return ModelStatus(model, tuple(_judged(ports, found)), endpoints, waiting, differing)


def overview(ports: Ports) -> Overview:
    """Every registered model that is no prompt, by name."""
    with ports.store.reading() as work:
        policy, text = work.policies.in_force(), work.policies.text()
        waiting = work.approvals.pending_counts()
        models = tuple(_summary(work, model, waiting) for model in work.catalog.models())
        failing = [each for each in work.anchors.all() if each.failures]
    troubles = tuple(f"Checkpoints cannot be written to {each.place}: {each.error}" for each in failing)
    return Overview(models, policy.level, policy.digest, text is None, troubles)


@dataclass(frozen=True, slots=True)
class _Unjudged:
    """What the gates of the next stage are judged on, and by which rules."""

    evidence: Evidence
    rules: StageRules
    level: Level


def _judged(ports: Ports, found: Sequence[tuple[VersionStatus, _Unjudged | None]]) -> Iterator[VersionStatus]:
    """Each with the gates that do not hold. Custom rules take time, so this comes after the transaction."""
    until = ports.clock.now() + FOR_CUSTOM_RULES
    for status, asked in found:
        if asked is None:
            yield status
            continue
        evidence = asked.evidence
        if ports.clock.now() < until:
            evidence = evaluated(ports.custom, evidence, asked.rules)
        yield replace(status, missing=judge(evidence, asked.rules, asked.level).open)


def _version(
    work: Work, policy: Policy, row: Lifecycle, endpoints: Sequence[Endpoint], now: datetime
) -> tuple[VersionStatus, _Unjudged | None]:
    ref, known = row.ref, work.catalog.version(row.ref)
    # one that was deleted past us goes nowhere
    target = NEXT.get(row.stage) if known is not None else None
    asked = None
    if target is not None:
        rules = policy.rules(ref.model, target)
        evidence = gather(work, policy, ref, target, stored_facts(work, ref), now, archive_existing=True)
        asked = _Unjudged(evidence, rules, policy.level_for(rules))
    promotions = [promotion for promotion in work.promotions.open_of_model(ref.model) if promotion.ref == ref]
    status = VersionStatus(
        ref=ref,
        stage=row.stage,
        since=row.since,
        primary=row.primary,
        digest=row.digest,
        aliases=known.aliases if known is not None else (),
        quarantine=row.quarantine,
        next_stage=target,
        missing=(),
        served_by=tuple(e.environment for e in endpoints if e.release is not None and e.release.ref == ref),
        validation=work.validations.open_for(ref) or work.validations.latest(ref),
        provenance=row.provenance,
        open_promotion=promotions[0] if promotions else None,
        numbered=work.semver.get(ref),
        checks=tuple(work.checks.latest(ref)),
    )
    return status, asked


def _summary(work: Work, model: str, waiting: Mapping[str, int]) -> ModelSummary:
    rows = work.versions.of_model(model)
    primaries = {row.stage: row.ref.version for row in rows if row.primary}
    return ModelSummary(
        model=model,
        versions=len(rows),
        staging=primaries.get(Stage.STAGING),
        production=primaries.get(Stage.PRODUCTION),
        endpoints=tuple(work.endpoints.of_model(model)),
        pending=waiting.get(model, 0),
    )
