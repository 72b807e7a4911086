"""The keys of one stage (`stages.Staging`, also below `models`) and of `governance`, read into what they change.

A stage is read as the fields it sets, not as whole rules: a model's override then replaces key by key what the stage
asks of every model, and governance comes last, as a floor that no override goes under.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from lockgate.adapters.policyfile.places import Place, near_miss
from lockgate.domain.grades import Grade
from lockgate.domain.policy import ApprovalRule, StageRules, Threshold
from lockgate.domain.stages import Stage
from lockgate.domain.validation import KINDS, SUITE
from lockgate.domain.verdict import Level

LEVELS = tuple(level.value for level in Level)
LONGEST = timedelta(days=366)
MOST_APPROVALS, MOST_VERSIONS = 10, 1000

REQUIREMENTS = (
    "min_<metric>",
    "previous_stage",
    "required_tags",
    "validation_tests",
    "require_signature",
    "staging_duration_hours",
    "approval_required",
)
GOVERNANCE = ("max_production_versions", "min_staging_duration_hours", "required_approval", "required_tests", "evict")

# what these are called elsewhere in the file, or in somebody's memory
_ELSEWHERE = {
    "rules": "Custom rules are not in this release: remove the key rules.",
    "max_production_versions": "It belongs under governance.",
    "min_staging_duration_hours": "Under a stage it is called staging_duration_hours.",
    "required_approval": "Under a stage it is called approval_required.",
    "required_tests": "Under a stage it is called validation_tests.",
    "evict": "It belongs under governance.",
}
_IN_GOVERNANCE = {
    "staging_duration_hours": "Under governance it is called min_staging_duration_hours.",
    "approval_required": "Under governance it is called required_approval.",
    "validation_tests": "Under governance it is called required_tests and names unit, integration and performance.",
}
# metrics that are a share of one: 85 is a slip for 0.85
_SHARES = ("accuracy", "precision", "recall", "f1", "f1_score", "auc", "roc_auc")
_METRIC = re.compile(r"[\w.\-/ :]+")
_ALIAS = re.compile(r"[\w\-]{1,255}", re.ASCII)
_RESERVED_ALIAS = re.compile(r"(latest|v[0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StageChange:
    """What the file says of one stage: the fields it sets (None in `metrics` drops one), and the line it says it on."""

    place: Place
    fields: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Threshold | None] = field(default_factory=dict)

    def on(self, rules: StageRules) -> StageRules:
        """The rules with this change made."""
        metrics = {**rules.metrics, **self.metrics}
        kept = {name: threshold for name, threshold in metrics.items() if threshold is not None}
        return replace(rules, metrics=kept, **self.fields)


@dataclass(frozen=True, slots=True)
class Governance:
    """What governance asks of Production beside the stage's own keys: of the two the stricter holds."""

    max_versions: int = 1
    soak: timedelta | None = None
    approval: bool = False
    tests: tuple[str, ...] = ()
    evict_oldest: bool = False

    def on(self, rules: StageRules) -> StageRules:
        """Production's rules with the stricter of both."""
        soaks = [soak for soak in (rules.soak, self.soak) if soak is not None]
        return replace(
            rules,
            max_versions=self.max_versions,
            evict_oldest=self.evict_oldest,
            soak=max(soaks, default=None),
            approval=rules.approval or (ApprovalRule() if self.approval else None),
            validation_tests=in_order({*rules.validation_tests, *self.tests}),
        )


def in_order(tests: set[str]) -> tuple[str, ...]:
    """The tests in the order in which the suite runs them."""
    return tuple(test for test in SUITE if test in tests)


def read_stages(place: Place, *, override: bool = False) -> dict[Stage, StageChange]:
    """The mapping below `stages:`. In an override of a model `null` takes a requirement away."""
    found: dict[Stage, StageChange] = {}
    for key, child in place.children("a mapping with the keys Staging and Production").items():
        stage = _stage(key)
        if stage is None:
            child.unknown(key, ("Staging", "Production"), _no_gates(key))
        elif stage in found:
            child.refuse(f"{stage} a second time (first on line {found[stage].place.line})", "it once")
        else:
            found[stage] = _read_stage(child, stage, override=override)
    return found


def read_level(place: Place) -> Level | None:
    """One of observe, warn and enforce."""
    found = place.one_of(LEVELS)
    return None if found is None else Level(found)


def read_governance(place: Place) -> Governance:
    """The mapping below `governance:`."""
    children = place.known(GOVERNANCE, _IN_GOVERNANCE)
    found: dict[str, Any] = {}
    if child := children.get("max_production_versions"):
        found["max_versions"] = child.whole(1, MOST_VERSIONS) or 1
    if child := children.get("min_staging_duration_hours"):
        found["soak"] = child.duration(timedelta(0), LONGEST, bare_unit="h") or None
    if child := children.get("required_approval"):
        found["approval"] = bool(child.flag())
    if child := children.get("required_tests"):
        kinds = child.texts("kinds of tests", lambda item: item.one_of(tuple(KINDS), _KIND_HINTS)) or ()
        found["tests"] = tuple(test for kind in kinds for test in KINDS[kind])
    if child := children.get("evict"):
        found["evict_oldest"] = child.one_of(("oldest",)) is not None
    return Governance(**found)


_KIND_HINTS = dict.fromkeys(SUITE, "It is a test of the suite: name it under validation_tests.")
_TEST_HINTS = {
    kind: f"It is a kind of test, for governance: here write {', '.join(tests)}." for kind, tests in KINDS.items()
}


def _stage(key: str) -> Stage | None:
    return next((stage for stage in (Stage.STAGING, Stage.PRODUCTION) if stage.lower() == key.lower()), None)


def _no_gates(key: str) -> str:
    return (
        "Leaving and archiving are always allowed: no gates stand there." if key.lower() in ("none", "archived") else ""
    )


def _read_stage(place: Place, stage: Stage, *, override: bool) -> StageChange:
    children = place.children("a mapping with the keys alias, requires and level")
    fields: dict[str, Any] = {}
    if child := children.pop("alias", None):
        fields.update(_given("alias", _alias(child)))
    if child := children.pop("level", None):
        fields.update(_given("level", read_level(child)))
    requires = children.pop("requires", None)
    required = requires.children("a mapping of requirements") if requires else {}
    for key, child in children.items():
        # the tutorial writes the requirements directly below the stage
        if key in required:
            child.refuse(f"{key} beside requires: and in it", "it once")
        required.setdefault(key, child)
    metrics: dict[str, Threshold | None] = {}
    for key, child in required.items():
        if key.startswith("min_") and key not in _ELSEWHERE:
            metrics.update(_metric(key, child, override=override))
        else:
            fields.update(_requirement(key, child, stage, override=override))
    return StageChange(place, fields, metrics)


def _requirement(key: str, place: Place, stage: Stage, *, override: bool) -> dict[str, Any]:
    match key:
        case "previous_stage":
            return {"previous_stage": None} if override and place.is_null else _previous_stage(place, stage)
        case "required_tags":
            return _given("required_tags", place.texts("tag names"))
        case "validation_tests":
            tests = place.texts("tests", lambda item: item.one_of(SUITE, _TEST_HINTS))
            return {} if tests is None else {"validation_tests": in_order(set(tests))}
        case "require_signature":
            return _given("require_signature", place.flag())
        case "staging_duration_hours":
            return {"soak": None} if override and place.is_null else _soak(place, stage)
        case "approval_required":
            return _approval(place)
        case _:
            names = ("alias", "requires", "level", *REQUIREMENTS)
            place.unknown(key, names, _ELSEWHERE.get(key, ""))
            return {}


def _given(name: str, value: object) -> dict[str, Any]:
    return {} if value is None else {name: value}


def _alias(place: Place) -> str | None:
    expected = "a name of letters, digits, - and _, not 'latest' and not like 'v1'"
    alias = place.text(expected)
    if alias is not None and (not _ALIAS.fullmatch(alias) or _RESERVED_ALIAS.fullmatch(alias)):
        place.wrong(expected, "MLflow would not take it as an alias.")
        return None
    return alias


def _metric(key: str, place: Place, *, override: bool) -> dict[str, Threshold | None]:
    name = key.removeprefix("min_")
    if not _METRIC.fullmatch(name):
        place.refuse(f"the key '{key[:60]}'", "min_ and the name of a metric, such as min_accuracy")
        return {}
    if override and place.is_null:
        return {name: None}
    if not place.is_mapping:
        if meant := near_miss(name, _SHARES):
            hint = f"Did you mean min_{meant}? If it is called so, write min_{name}: {{at_least: …}}."
            place.refuse(f"the metric '{name}'", "a metric that your models log", hint)
            return {}
        least = _least(name, place)
        return {} if least is None else {name: Threshold(least)}
    children = place.known(("at_least", "grade", "level"))
    if "at_least" not in children:
        place.refuse("no at_least", "the key at_least, such as {at_least: 0.85}")
        return {}
    least = _least(name, children["at_least"])
    grade = children["grade"].one_of(("claimed", "measured")) if "grade" in children else None
    level = read_level(children["level"]) if "level" in children else None
    return {} if least is None else {name: Threshold(least, Grade(grade or "claimed"), level)}


def _least(name: str, place: Place) -> float | None:
    if name in _SHARES:
        return place.number("a number from 0 to 1", least=0, most=1)
    return place.number("a number")


def _previous_stage(place: Place, stage: Stage) -> dict[str, Any]:
    before = ("None",) if stage is Stage.STAGING else ("Staging", "None")
    found = place.one_of(
        before, {"Archived": "Nothing comes forward from Archived.", stage: "A stage does not precede itself."}
    )
    return {} if found is None else {"previous_stage": Stage(found)}


def _soak(place: Place, stage: Stage) -> dict[str, Any]:
    soak = place.duration(timedelta(0), LONGEST, bare_unit="h")
    if stage is Stage.STAGING:
        place.refuse("it below Staging", "it below Production", "It is the time a version spends in Staging first.")
        return {}
    return {} if soak is None else {"soak": soak or None}


def _approval(place: Place) -> dict[str, Any]:
    if place.is_flag:
        return {"approval": ApprovalRule() if place.flag() else None}
    if not place.is_mapping:
        place.wrong("true, false or a mapping with the keys approvals, roles, not_the_requester and level")
        return {}
    return {"approval": ApprovalRule(**dict(_approval_fields(place)))}


def _approval_fields(place: Place) -> Iterator[tuple[str, Any]]:
    for key, child in place.known(("approvals", "roles", "not_the_requester", "level")).items():
        value: object
        match key:
            case "approvals":
                value = child.whole(1, MOST_APPROVALS)
            case "roles":
                value = child.texts("roles")
            case "not_the_requester":
                value = child.flag()
            case _:
                value = read_level(child)
        if value is not None:
            yield key, value
