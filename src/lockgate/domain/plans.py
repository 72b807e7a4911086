"""What an approval signs: the parts of a plan, each by name, so that a stale approval can say which of them changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockgate.domain.canonical import digest

if TYPE_CHECKING:
    from lockgate.domain.evidence import Evidence, Metric
    from lockgate.domain.policy import StageRules

Parts = Mapping[str, str | None]
"""Each part of a plan by its name: `artifacts`, `metric accuracy`, `policy`, `workers`. None: there is none."""

_SHOWN = 12  # letters of a digest that tell two apart
_DIGEST = "sha256:"
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class ReleaseSettings:
    """How a release of this version would be served: engine, workers, and seconds that a request may take."""

    engine: str
    workers: int
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Change:
    """One part of a plan that is not what it was. None: it was not there, or is not there any more."""

    part: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.part} changed from {_shown(self.before)} to {_shown(self.after)}"


def parts(evidence: Evidence, rules: StageRules) -> dict[str, str | None]:
    """Version, stage, artifacts, the evidence that the rules read, the policy, and how it would be served.

    Time in Staging and the approvals themselves are left out: the one changes by itself, the other would sign itself.
    What no rule reads is left out too: it makes no approval stale.
    """
    release = evidence.release
    return {
        "version": str(evidence.ref),
        "target": evidence.target.value,
        "artifacts": evidence.artifacts.digest,
        **{f"metric {name}": _metric(evidence.metrics.get(name)) for name in rules.metrics},
        **{f"tag {key}": evidence.tags.get(key) for key in rules.required_tags},
        **dict(_validation(evidence, rules)),
        "policy": evidence.policy_digest,
        "engine": release.engine if release else None,
        "workers": str(release.workers) if release else None,
        "timeout": f"{release.timeout_seconds:g} s" if release else None,
    }


def digest_of_parts(of: Parts) -> str:
    """The digest that names a plan."""
    return digest(dict(of))


def changes(before: Parts, after: Parts) -> tuple[Change, ...]:
    """The parts that differ, in the order in which a plan has them."""
    names = [*after, *(name for name in before if name not in after)]
    return tuple(
        Change(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    )


def told(changed: tuple[Change, ...]) -> str:
    """The changes in one sentence; the first five, if there are many."""
    said = "; ".join(str(change) for change in changed[:5])
    return said if len(changed) <= 5 else f"{said}; and {len(changed) - 5} more"


def _metric(metric: Metric | None) -> str | None:
    # float(): 1, 1.0 and numpy's 1.0 are one value and must give one digest
    return None if metric is None else f"{float(metric.value)!r} ({metric.grade})"


def _validation(evidence: Evidence, rules: StageRules) -> Iterator[tuple[str, str | None]]:
    """What the rules read of the validation: a test nobody asks for makes no approval stale."""
    examination = evidence.validation.examination if evidence.validation else None
    outcomes = {result.name: result.passed for result in examination.results} if examination else {}
    facts = examination.facts if examination else None
    for name in rules.validation_tests:
        passed = outcomes.get(name)
        yield f"test {name}", None if passed is None else "passed" if passed else "failed"
    if rules.require_signature:
        yield "signature", None if facts is None else "yes" if facts.has_signature else "no"
    for library in facts.libraries if facts and rules.validation_tests else ():
        yield f"library {library.name}", f"{library.logged} when logged, {library.installed or 'none'} here"


def _shown(value: str | None) -> str:
    if value is None:
        return "nothing"
    if value.startswith(_DIGEST):
        return value.removeprefix(_DIGEST)[:_SHOWN]
    shown = value if value.isprintable() else ascii(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
