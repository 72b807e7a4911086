"""The facts a transition is judged on, gathered at one moment, and the digest of the part an approval signs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lockgate.domain.approvals import ApprovalRequest
from lockgate.domain.canonical import Plain, digest
from lockgate.domain.policy import StageRules
from lockgate.domain.stages import Stage
from lockgate.domain.validation import Validation
from lockgate.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's last value and where it was read: `logged model` or `run`; `grade` is claimed or measured."""

    value: float
    source: str
    grade: str = "claimed"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The version was rolled back: when and why."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class ArtifactFacts:
    """The pinned digest (None while unpinned), what differs from it now, and why the source could not be read."""

    digest: str | None
    differences: tuple[str, ...] = ()
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything the gates may look at. `occupants` are the other versions in the target stage, oldest first."""

    ref: VersionRef
    target: Stage
    stage: Stage
    stage_since: datetime
    artifacts: ArtifactFacts
    metrics: Mapping[str, Metric]
    tags: Mapping[str, str]
    validation: Validation | None
    request: ApprovalRequest | None
    quarantine: Quarantine | None
    occupants: tuple[VersionRef, ...]
    archive_existing: bool
    policy_digest: str
    now: datetime


def plan_digest(evidence: Evidence, rules: StageRules) -> str:
    """The digest of the plan an approval signs: version, stage, artifacts, the evidence its rules read, and the policy.

    Time in Staging and the approvals themselves are left out: the one changes by itself, the other would sign itself.
    """
    return digest(
        {
            "model": evidence.ref.model,
            "version": evidence.ref.version,
            "stage": evidence.target.value,
            "artifacts": evidence.artifacts.digest,
            "metrics": {name: _text(evidence.metrics.get(name)) for name in rules.metrics},
            "tags": {key: evidence.tags.get(key) for key in rules.required_tags},
            "validation": _validation(evidence, rules),
            "policy": evidence.policy_digest,
        }
    )


def _text(metric: Metric | None) -> str | None:
    # float(): 1, 1.0 and numpy's 1.0 are one value and must give one digest
    return None if metric is None else f"{float(metric.value)!r} ({metric.grade})"


def _validation(evidence: Evidence, rules: StageRules) -> Plain:
    """What the rules read of the validation: a test nobody asks for makes no approval stale."""
    examination = evidence.validation.examination if evidence.validation else None
    outcomes = {result.name: result.passed for result in examination.results} if examination else {}
    facts = examination.facts if examination else None
    libraries = facts.libraries if facts and rules.validation_tests else ()
    return {
        "tests": {name: outcomes.get(name) for name in rules.validation_tests},
        "signature": facts.has_signature if facts and rules.require_signature else None,
        "libraries": [[library.name, library.logged, library.installed] for library in libraries],
    }
