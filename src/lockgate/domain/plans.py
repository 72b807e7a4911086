"""What an approval signs: the parts of a plan, each by name, so that a stale approval can say which of them changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lockgate.domain.canonical import digest
from lockgate.domain.custom import seen_by

if TYPE_CHECKING:
    from lockgate.domain.evidence import Evidence, Metric
    from lockgate.domain.policy import StageRules

Parts = Mapping[str, str | None]
"""Each part of a plan by its name: `artifacts`, `metric accuracy`, `policy`, `workers`. None: there is none."""

_SHOWN = 12  # letters of a digest that tell two apart
_DIGEST = "sha256:"
_LONGEST = 80
_TAGS = re.compile(r"\btags\b")
# not followed by a bracket: tags.exists(…) looks at all of them
_NAMED_TAG = re.compile(
    r"""\btags(?:\.(?P<plain>\w+)\b(?!\s*\()|\[\s*(?P<mark>["'])(?P<quoted>[^"'\\]*)(?P=mark)\s*\])"""
)
# the one changes by itself with time, the others are the move itself
_TOLD_ELSEWHERE = frozenset({"hours_in_stage", "stage", "target"})


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
    release, asked = evidence.release, rules.everywhere
    named = [name for each in asked for name in (*each.metrics, *each.ceilings, *each.champion)]
    return {
        "version": str(evidence.ref),
        "target": evidence.target.value,
        "artifacts": evidence.artifacts.digest,
        **{f"metric {name}": _metric(evidence.metrics.get(name)) for name in named},
        **{f"tag {key}": evidence.tags.get(key) for each in asked for key in each.required_tags},
        **dict(_validation(evidence, asked)),
        **dict(_champion(evidence, asked)),
        **dict(_checks(evidence, asked)),
        **dict(_custom(evidence, asked)),
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


def _validation(evidence: Evidence, asked: Sequence[StageRules]) -> Iterator[tuple[str, str | None]]:
    """What the rules read of the validation: a test nobody asks for makes no approval stale."""
    tests = [test for each in asked for test in each.validation_tests]
    examination = evidence.validation.examination if evidence.validation else None
    outcomes = {result.name: result.passed for result in examination.results} if examination else {}
    facts = examination.facts if examination else None
    for name in tests:
        passed = outcomes.get(name)
        yield f"test {name}", None if passed is None else "passed" if passed else "failed"
    if any(each.require_signature for each in asked):
        yield "signature", None if facts is None else "yes" if facts.has_signature else "no"
    for library in facts.libraries if facts and tests else ():
        yield f"library {library.name}", f"{library.logged} when logged, {library.installed or 'none'} here"


def _champion(evidence: Evidence, asked: Sequence[StageRules]) -> Iterator[tuple[str, str | None]]:
    """Whom it was compared with, and that one's values of the metrics compared."""
    compared = [name for each in asked for name in each.champion]
    champion = evidence.champion
    if compared:
        yield "champion", None if champion is None else str(champion.ref)
        yield "champion's artifacts", None if champion is None else champion.digest
    for name in compared:
        yield f"champion's metric {name}", None if champion is None else _metric(champion.metrics.get(name))


def _checks(evidence: Evidence, asked: Sequence[StageRules]) -> Iterator[tuple[str, str | None]]:
    """The results from outside that are asked for. The same answer given again changes nothing."""
    given = {check.name: check for check in evidence.checks}
    for name in (wanted.name for each in asked for wanted in each.checks):
        check = given.get(name)
        passed = "passed" if check and check.passed else "failed"
        yield f"check {name}", f"{passed} on {check.digest}" if check else None


def _custom(evidence: Evidence, asked: Sequence[StageRules]) -> Iterator[tuple[str, str | None]]:
    """What custom rules read: their results follow from it, and from the policy.

    Of the tags, of which many mean nothing, those that a rule names; all of them where one does more than that.
    """
    expressions = [rule.cel for each in asked for rule in each.custom]
    if not expressions:
        return
    tags = _tags_named(" ".join(expressions))
    for name, value in seen_by(expressions, evidence).plain.items():
        if name in _TOLD_ELSEWHERE:
            continue
        for path, text in _leaves(name, value):
            if name != "tags" or tags is None or path.removeprefix("tags.") in tags:
                yield f"read {path}", text


def _tags_named(written: str) -> frozenset[str] | None:
    """The tags that rules name, as `tags.team` or `tags["team"]`; None when they look at tags in another way too."""
    named = [found["plain"] or found["quoted"] for found in _NAMED_TAG.finditer(written)]
    return frozenset(named) if len(named) == len(_TAGS.findall(written)) else None


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    else:
        yield path, str(value)


def _shown(value: str | None) -> str:
    if value is None:
        return "nothing"
    if value.startswith(_DIGEST):
        return value.removeprefix(_DIGEST)[:_SHOWN]
    shown = value if value.isprintable() else ascii(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
