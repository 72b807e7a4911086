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

import yaml

from lockgate.adapters.policyfile import bounds, outside
from lockgate.adapters.policyfile.changes import GROUPS, StageChange, group_key, origin
from lockgate.adapters.policyfile.outside import CheckRule, in_order
from lockgate.adapters.policyfile.places import Place
from lockgate.adapters.policyfile.small import read_level
from lockgate.domain.durations import spoken
from lockgate.domain.policy import ApprovalRule, Combined, Group, Origin, StageRules
from lockgate.domain.stages import Stage
from lockgate.domain.validation import KINDS, SUITE

LONGEST = timedelta(days=366)
MOST_VERSIONS, MOST_BRANCHES = 1000, 20

# what may stand in a branch of a group: what people decide is asked of a move as a whole
IN_BRANCHES = (
    "min_<metric>",
    "max_<metric>",
    "champion",
    "previous_stage",
    "required_tags",
    "validation_tests",
    "require_signature",
    "checks",
    "rules",
    "all_of",
    "any_of",
    "staging_duration_hours",
)
REQUIREMENTS = (*IN_BRANCHES, "champion_stage", "approval_required")
GOVERNANCE = ("max_production_versions", "min_staging_duration_hours", "required_approval", "required_tests", "evict")

# what these are called elsewhere in the file, or in somebody's memory
_ELSEWHERE = {
    "max_production_versions": "It belongs under governance.",
    "min_staging_duration_hours": "Under a stage it is called staging_duration_hours.",
    "required_approval": "Under a stage it is called approval_required.",
    "required_tests": "Under a stage it is called validation_tests.",
    "evict": "It belongs under governance.",
    "max_age": "It belongs to one requirement, such as min_accuracy: {at_least: 0.9, max_age: 30d}.",
    "max_endpoints": "It belongs at the top of the file, beside stages.",
}
_IN_GOVERNANCE = {
    "staging_duration_hours": "Under governance it is called min_staging_duration_hours.",
    "approval_required": "Under governance it is called required_approval.",
    "validation_tests": "Under governance it is called required_tests and names unit, integration and performance.",
}
_OF_THE_WHOLE = dict.fromkeys(
    ("approval_required", "champion_stage", "alias", "level", "requires"),
    "It is said of the whole stage, and cannot stand in a branch.",
)
_ALIAS = re.compile(r"[\w\-]{1,255}", re.ASCII)
_GROUP_NAME = re.compile(r"[A-Za-z0-9][\w\-]{0,63}", re.ASCII)
_RESERVED_ALIAS = re.compile(r"(latest|v[0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Governance:
    """What governance asks of Production beside the stage's own keys: of the two the stricter holds.

    `origins` are the places of its keys in the file, by the gate each asks for.
    """

    max_versions: int = 1
    soak: timedelta | None = None
    approval: bool = False
    tests: tuple[str, ...] = ()
    evict_oldest: bool = False
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def on(self, rules: StageRules) -> StageRules:
        """Production's rules with the stricter of both."""
        soaks = [soak for soak in (rules.soak, self.soak) if soak is not None]
        approval = rules.approval
        if self.approval:
            # a stage that only observes it is no way round
            approval = replace(approval, level=None) if approval is not None else ApprovalRule()
        return replace(
            rules,
            max_versions=self.max_versions,
            evict_oldest=self.evict_oldest,
            soak=max(soaks, default=None),
            approval=approval,
            validation_tests=in_order({*rules.validation_tests, *self.tests}),
            origins=self._origins_on(rules),
        )

    def _origins_on(self, rules: StageRules) -> dict[str, Origin]:
        """Which of the two asks for more; the other one is named beside it."""
        found = dict(rules.origins)
        for gate, mine in self.origins.items():
            other = rules.origins.get(gate)
            wins = gate == "staging_duration_hours" and (self.soak or timedelta()) > (rules.soak or timedelta())
            if other is None:
                found[gate] = mine
            else:
                found[gate] = replace(mine, over=(other,)) if wins else replace(other, over=(*other.over, mine))
        return found


def read_stages(place: Place, *, override: bool = False, check: CheckRule | None = None) -> dict[Stage, StageChange]:
    """The mapping below `stages:`. In an override of a model `null` takes a requirement away."""
    found: dict[Stage, StageChange] = {}
    for key, child in place.children("a mapping with the keys Staging and Production").items():
        stage = _stage(key)
        if stage is None:
            child.unknown(key, ("Staging", "Production"), _no_gates(key))
        elif stage in found:
            child.refuse(f"{stage} a second time (first on line {found[stage].place.line})", "it once")
        else:
            found[stage] = _Reader(stage, check, override=override).stage_change(child)
    return found


def read_governance(place: Place) -> Governance:
    """The mapping below `governance:`."""
    children = place.known(GOVERNANCE, _IN_GOVERNANCE)
    found: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    if child := children.get("max_production_versions"):
        found["max_versions"] = child.whole(1, MOST_VERSIONS) or 1
        origins["max_production_versions"] = origin(child, f"at most {found['max_versions']}")
    if child := children.get("min_staging_duration_hours"):
        found["soak"] = child.duration(timedelta(0), LONGEST, bare_unit="h") or None
        if found["soak"] is not None:
            origins["staging_duration_hours"] = origin(child, spoken(found["soak"]))
    if child := children.get("required_approval"):
        found["approval"] = bool(child.flag())
        if found["approval"]:
            origins["approval_required"] = origin(child, "1 approval")
    if child := children.get("required_tests"):
        kinds = child.texts("kinds of tests", lambda item: item.one_of(tuple(KINDS), _KIND_HINTS)) or ()
        found["tests"] = tuple(test for kind in kinds for test in KINDS[kind])
        origins |= {gate: origin(child, "passed") for gate in found["tests"]}
        if kinds:
            origins["runtime_matches"] = origin(child, "the same libraries")
    if child := children.get("evict"):
        found["evict_oldest"] = child.one_of(("oldest",)) is not None
    return Governance(**found, origins=origins)


_KIND_HINTS = dict.fromkeys(SUITE, "It is a test of the suite: name it under validation_tests.")


def _stage(key: str) -> Stage | None:
    return next((stage for stage in (Stage.STAGING, Stage.PRODUCTION) if stage.lower() == key.lower()), None)


def _no_gates(key: str) -> str:
    return (
        "Leaving and archiving are always allowed: no gates stand there." if key.lower() in ("none", "archived") else ""
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads what is asked of one stage. `check` says what is wrong with a custom rule's expression."""

    stage: Stage
    check: CheckRule | None
    override: bool = False
    branch: bool = False

    def stage_change(self, place: Place) -> StageChange:
        """The mapping of one stage: the requirements below `requires`, or directly below the stage."""
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
        return self._all(StageChange(place, fields), required)

    def _all(self, change: StageChange, required: Mapping[str, Place]) -> StageChange:
        for key, child in required.items():
            if key.startswith(("min_", "max_")) and key not in _ELSEWHERE:
                change = change.and_also(bounds.read_bound(key, child, override=self.override))
            else:
                change = change.and_also(self._requirement(key, child))
        return change

    def _requirement(self, key: str, place: Place) -> StageChange:
        match key:
            case "champion":
                return bounds.read_champion(place, override=self.override)
            case "previous_stage":
                return self._previous_stage(place)
            case "required_tags":
                return outside.read_tags(place)
            case "validation_tests":
                return outside.read_tests(place)
            case "require_signature":
                return _signature(place)
            case "checks":
                return outside.read_checks(place)
            case "rules":
                return outside.read_rules(place, self.check)
            case "all_of" | "any_of":
                return self._groups(Combined(key), place)
            case "staging_duration_hours":
                return self._soak(place)
            case "approval_required" if not self.branch:
                return outside.read_approval(place)
            case "champion_stage" if not self.branch:
                found = place.one_of((Stage.STAGING, Stage.PRODUCTION))
                return StageChange(place, {"champion_stage": Stage(found)} if found else {})
            case _:
                names = IN_BRANCHES if self.branch else ("alias", "requires", "level", *REQUIREMENTS)
                hint = _OF_THE_WHOLE.get(key, "") if self.branch else ""
                place.unknown(key, names, hint or _ELSEWHERE.get(key, ""))
                return StageChange(place)

    def _groups(self, how: Combined, place: Place) -> StageChange:
        """The mapping below `any_of` or `all_of`: each group's name, and its branches."""
        found: dict[str, Group | None] = {}
        origins: dict[str, Origin | None] = {}
        for name, child in place.children(f"a mapping of names to lists of requirements, as {how} takes").items():
            gate = f"{how}:{name}"
            if not _GROUP_NAME.fullmatch(name):
                child.refuse(f"the name '{name[:60]}'", "a name of up to 64 letters, digits, - and _")
            elif self.override and child.is_null:
                found[gate], origins[gate] = None, None
            elif (group := self._group(how, name, child)) is not None:
                found[group_key(group)] = group
                origins[gate] = origin(child, f"{'every' if how is Combined.ALL_OF else 'one'} branch")
        return StageChange(place, maps={GROUPS: found}, origins=origins)

    def _group(self, how: Combined, name: str, place: Place) -> Group | None:
        listed, level = place, None
        if place.is_mapping:
            children = place.known(("of", "level"))
            if "of" not in children:
                place.refuse("no of", "the key of, with the list of branches")
                return None
            listed = children["of"]
            if "level" in children and self.branch:
                children["level"].refuse("a level in a branch", "none: the outermost group has one")
            elif "level" in children:
                level = read_level(children["level"])
        items = listed.items("branches, each a mapping of requirements")
        if isinstance(listed.node, yaml.SequenceNode) and not 1 <= len(items) <= MOST_BRANCHES:
            listed.refuse(f"{len(items)} branches", f"1 to {MOST_BRANCHES}")
            return None
        branches = tuple(self._branch(item) for item in items)
        return Group(name, how, branches, level) if branches else None

    def _branch(self, place: Place) -> StageRules:
        children = place.children("a mapping of requirements, such as {min_accuracy: 0.95}")
        before = len(place.problems)
        for key, child in children.items():
            if key not in ("required_tags", "any_of", "all_of"):
                _refuse_levels(child)
        inner = replace(self, override=False, branch=True)
        rules = inner._all(StageChange(place), children).on(StageRules(alias=""))
        if rules == StageRules(alias="") and len(place.problems) == before and place.is_mapping:
            place.refuse("a branch that asks for nothing", "at least one requirement")
        return rules

    def _previous_stage(self, place: Place) -> StageChange:
        if self.override and place.is_null:
            return StageChange(place, {"previous_stage": None}, origins={"previous_stage": None})
        before = ("None",) if self.stage is Stage.STAGING else ("Staging", "None")
        hints = {"Archived": "Nothing comes forward from Archived.", self.stage: "A stage does not precede itself."}
        found = place.one_of(before, hints)
        if found is None:
            return StageChange(place)
        return StageChange(
            place, {"previous_stage": Stage(found)}, origins={"previous_stage": origin(place, f"it is in {found}")}
        )

    def _soak(self, place: Place) -> StageChange:
        gate = "staging_duration_hours"
        if self.override and place.is_null:
            return StageChange(place, {"soak": None}, origins={gate: None})
        soak = place.duration(timedelta(0), LONGEST, bare_unit="h")
        if self.stage is Stage.STAGING:
            place.refuse("it below Staging", "it below Production", "It is the time a version spends in Staging first.")
            return StageChange(place)
        if soak is None:
            return StageChange(place)
        return StageChange(place, {"soak": soak or None}, origins={gate: origin(place, spoken(soak)) if soak else None})


def _signature(place: Place) -> StageChange:
    wanted = place.flag()
    if wanted is None:
        return StageChange(place)
    gate = origin(place, "a signature") if wanted else None
    return StageChange(place, {"require_signature": wanted}, origins={"require_signature": gate})


def _given(name: str, value: object) -> dict[str, Any]:
    return {} if value is None else {name: value}


def _alias(place: Place) -> str | None:
    expected = "a name of letters, digits, - and _, not 'latest' and not like 'v1'"
    alias = place.text(expected)
    if alias is not None and (not _ALIAS.fullmatch(alias) or _RESERVED_ALIAS.fullmatch(alias)):
        place.wrong(expected, "MLflow would not take it as an alias.")
        return None
    return alias


def _refuse_levels(place: Place) -> None:
    """A branch counts as a whole: a level of one of its requirements would say nothing."""
    for inner in _within(place):
        if inner.is_mapping and any(key.value == "level" for key, _ in inner.node.value):
            inner.refuse(
                "a level in a branch", "none: the group has one", "Write {of: […], level: warn} for the group."
            )


def _within(place: Place) -> Iterator[Place]:
    yield place
    if isinstance(place.node, yaml.SequenceNode):
        yield from place.items("")
    elif isinstance(place.node, yaml.MappingNode):
        yield from (Place(node, place.path, key.start_mark.line + 1, place.problems) for key, node in place.node.value)
