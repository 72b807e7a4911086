"""The facts a transition is judged on, gathered at one moment, and the digest of the part an approval signs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lockgate.domain.approvals import ApprovalRequest
from lockgate.domain.plans import ReleaseSettings, digest_of_parts, parts
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
    """Everything the gates may look at. `occupants` are the other versions in the target stage, oldest first.

    `roles` are those that each person of the request has now (empty while there are no users); `release` is how it
    would be served, None where it would not be.
    """

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
    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    release: ReleaseSettings | None = None


def plan_digest(evidence: Evidence, rules: StageRules) -> str:
    """The digest of the plan that an approval signs: of all that `plans.parts` names."""
    return digest_of_parts(parts(evidence, rules))
