"""The facts a transition is judged on, gathered at one moment, and the digest of the part an approval signs.

Each piece of evidence has a grade, the digest of the artifacts it is about where that is known, and a time. All of it
can be written down and read back exactly, so that a verdict can be judged again years later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from lockgate.domain.approvals import ApprovalRequest
from lockgate.domain.canonical import Plain, canonical, digest_of
from lockgate.domain.checks import Check
from lockgate.domain.errors import BadInput
from lockgate.domain.grades import Grade
from lockgate.domain.plain import as_plain, from_plain
from lockgate.domain.plans import ReleaseSettings, digest_of_parts, parts
from lockgate.domain.policy import StageRules
from lockgate.domain.stages import Stage
from lockgate.domain.validation import Validation
from lockgate.domain.versions import VersionRef

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's last value, and where it was read: `logged model`, `run` or `validation`.

    `at` is when it was logged or measured, by the clock of whoever did; `digest` names the artifacts it was measured
    on. Both are None where nobody knows.
    """

    value: float
    source: str
    grade: Grade = Grade.CLAIMED
    at: datetime | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that a newcomer is compared with: the primary of a stage, its metrics and its pinned digest."""

    ref: VersionRef
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class CustomResult:
    """What a custom rule gave: whether it was true, and why it was not: false, no boolean, or the error.

    `seen` is the digest of what it was evaluated on, where that is known: on other evidence it says nothing.
    """

    value: bool
    because: str
    seen: str = ""


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


@dataclass(frozen=True)
class Evidence:
    """Everything the gates may look at. `occupants` are the other versions in the target stage, oldest first.

    `champion` is the primary of the stage that the rules compare with; `checks` are the newest of each name; `custom`
    holds what each custom rule gave. `roles` are those that each person of the request has on the model now, none for
    somebody who has left (empty while there are no users); `release` is how it would be served, None where it would
    not be.
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
    champion: Champion | None = None
    checks: tuple[Check, ...] = ()
    custom: Mapping[str, CustomResult] = field(default_factory=dict)

    def as_plain(self) -> dict[str, Plain]:
        """All of it, to be stored with a verdict; `from_plain` gives exactly this evidence back."""
        return {"format": FORMAT, **as_plain(self)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Evidence:
        """Evidence that was stored. Raises BadInput for what `as_plain` would not have written."""
        if plain.get("format") != FORMAT:
            raise BadInput(
                f"That is evidence in the format {plain.get('format')!r}, and this release reads {FORMAT}.",
                hint="Read it with the release that wrote it, or a later one.",
            )
        return from_plain(cls, {name: inner for name, inner in plain.items() if name != "format"})

    @cached_property
    def text(self) -> str:
        """The canonical form of all of it, which is what is stored."""
        return canonical(self.as_plain()).decode()

    @cached_property
    def digest(self) -> str:
        """The digest of all of it, the moment included."""
        return digest_of(self.text.encode())


def evidence_of(text: str, expected: str) -> Evidence:
    """The evidence in a stored text. Raises BadInput when its digest is not the one that is expected."""
    found = digest_of(text.encode("utf-8", "surrogatepass"))
    if found != expected:
        raise BadInput(
            f"The stored evidence {expected} was changed after it was written: its digest is {found} now.",
            hint="Compare it with an export of the record, or with a backup.",
        )
    return Evidence.from_plain(json.loads(text))


def figures(validation: Validation | None) -> dict[str, Metric]:
    """What the validation's own tests measured, as metrics: `latency_test.p95_ms`. They are about what it ran on."""
    if validation is None or validation.examination is None or not validation.state.is_over:
        return {}
    return {
        f"{result.name}.{name}": Metric(value, "validation", Grade.MEASURED, validation.finished_at, validation.digest)
        for result in validation.examination.results
        for name, value in result.measured.items()
    }


def plan_digest(evidence: Evidence, rules: StageRules) -> str:
    """The digest of the plan that an approval signs: of all that `plans.parts` names."""
    return digest_of_parts(parts(evidence, rules))
