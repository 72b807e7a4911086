"""What a custom rule can see: the evidence as plain names and numbers, and the digest of the part that rules read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lockgate.domain.canonical import Plain, digest
from lockgate.domain.validation import SUITE

if TYPE_CHECKING:
    from lockgate.domain.evidence import Evidence, Metric
    from lockgate.domain.policy import StageRules

LONGEST_RULE = 4096  # characters
TRUE, FALSE = "it is true", "it is false"
NAMES = ("metrics", "champion", "tags", "model", "validation", "checks", "stage", "target", "hours_in_stage")
SEMANTIC_VERSION = "model_version"
# Lockgate's own, about the very act that is judged: an approval would make the evidence another one
_OWN_TAGS = frozenset({"approval_request", "production_approved", "staging_timestamp", SEMANTIC_VERSION})
_WORDS = re.compile(rf"\b(?:{'|'.join(NAMES)})\b")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a rule, and on which of its lines, counted from 1."""

    line: int
    because: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What rules see: plain maps, texts, numbers and booleans. `absent` says of a path why nothing is there."""

    plain: Mapping[str, Any]
    absent: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Of all of it but the time spent in the stage, which changes by itself."""
        return digest({name: _canonical(value) for name, value in self.plain.items() if name != "hours_in_stage"})


def asked(rules: StageRules) -> dict[str, str]:
    """The expression of every custom rule by the rule's name, also of those in the branches of groups.

    Two that bear one name have one result, so both must be true for it.
    """
    found: dict[str, str] = {}
    for rule in (rule for each in rules.everywhere for rule in each.custom):
        other = found.get(rule.name, rule.cel)
        # each on lines of its own: it may end in a comment
        found[rule.name] = rule.cel if other == rule.cel else f"({other}\n) && ({rule.cel}\n)"
    return found


def read_digest(evidence: Evidence, rules: StageRules) -> str | None:
    """The digest of all that the custom rules of a stage may read, None when it has none.

    It is what an approval signs of them: their results follow from it, and from the policy.
    """
    wanted = asked(rules)
    return seen_by(wanted.values(), evidence).digest if wanted else None


def names_in(expressions: Iterable[str]) -> frozenset[str]:
    """Which of NAMES the rules may read. One in a text or a comment counts too: one too many, and never one less."""
    return frozenset(name for rule in expressions for name in _WORDS.findall(rule))


def wants_validation(expression: str) -> bool:
    """Whether the rule reads what a validation finds: its tests, or a figure that one of them measures."""
    return "validation" in names_in([expression]) or any(f"{test}." in expression for test in SUITE)


def seen_by(expressions: Iterable[str], evidence: Evidence) -> Seen:
    """What these rules see of the evidence: what none of them names is left out."""
    wanted, absent = names_in(expressions), dict[str, str]()
    parts: dict[str, Any] = {}
    for name in NAMES:
        if name in wanted:
            parts[name] = _PARTS[name](evidence, absent)
    return Seen(parts, absent)


def _metrics(evidence: Evidence, absent: dict[str, str]) -> dict[str, float]:
    return _numbers("metrics", evidence.metrics, absent)


def _champion(evidence: Evidence, absent: dict[str, str]) -> dict[str, Any]:
    champion = evidence.champion
    if champion is None:
        because = "there is no champion; begin the rule with !champion.present ||"
        absent["champion.metrics"] = absent["champion.version"] = because
        return {"present": False, "metrics": {}}
    found = _numbers("champion.metrics", champion.metrics, absent)
    return {"present": True, "version": champion.ref.version, "metrics": found}


def _numbers(path: str, metrics: Mapping[str, Metric], absent: dict[str, str]) -> dict[str, float]:
    """The values. A NaN is left out: in CEL it is unequal to everything, and a rule that asks for that would hold."""
    for name, metric in metrics.items():
        if math.isnan(metric.value):
            absent[f"{path}.{name}"] = "it is NaN"
    return {name: float(metric.value) for name, metric in metrics.items() if not math.isnan(metric.value)}


def _tags(evidence: Evidence, _absent: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in evidence.tags.items() if key not in _OWN_TAGS}


def _model(evidence: Evidence, absent: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": evidence.ref.model, "version": evidence.ref.version}
    if semantic := evidence.tags.get(SEMANTIC_VERSION):
        found["semantic_version"] = semantic
    else:
        absent["model.semantic_version"] = "no semantic version was computed"
    return found


def _validation(evidence: Evidence, absent: dict[str, str]) -> dict[str, bool]:
    validation = evidence.validation
    because = ""
    if validation is None:
        because = f"it has not been validated; lockgate validate {evidence.ref}"
    elif not validation.state.is_over:
        because = f"validation {validation.id} is {validation.state}"
    elif validation.digest != evidence.artifacts.digest:
        because = "the last validation looked at other artifacts"
    elif validation.examination is None:
        because = "the last validation could not be run"
    else:
        return {result.name: result.passed for result in validation.examination.results}
    absent["validation"] = because
    return {}


def _checks(evidence: Evidence, _absent: dict[str, str]) -> dict[str, bool]:
    return {check.name: check.passed for check in evidence.checks if check.digest == evidence.artifacts.digest}


def _hours(evidence: Evidence, _absent: dict[str, str]) -> float:
    return round(max(0.0, (evidence.now - evidence.stage_since).total_seconds() / 3600), 4)


_PARTS: Mapping[str, Any] = {
    "metrics": _metrics,
    "champion": _champion,
    "tags": _tags,
    "model": _model,
    "validation": _validation,
    "checks": _checks,
    "stage": lambda evidence, _absent: evidence.stage.value,
    "target": lambda evidence, _absent: evidence.target.value,
    "hours_in_stage": _hours,
}


def _canonical(value: Any) -> Plain:
    """Without floats, which a canonical form has not; 1 and 1.0 stay two."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return {key: _canonical(inner) for key, inner in value.items()}
    return value  # type: ignore[no-any-return]
