"""What one place of the file changes about a stage's rules, and which key of the file asks for each gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lockgate.adapters.policyfile.places import Place
from lockgate.domain.policy import Group, Origin, StageRules
from lockgate.domain.validation import SUITE

GROUPS = "groups"
MAPPED = ("metrics", "ceilings", "champion", GROUPS)


def origin(place: Place, says: str) -> Origin:
    """That this place of the file asks for it."""
    return Origin(place.path, place.line, says)


@dataclass(frozen=True, slots=True)
class StageChange:
    """What the file says of one stage, and the line it says it on.

    `fields` are replaced whole; `maps` are replaced key by key, where None drops one. `origins` are by gate, where None
    says that the gate is not asked for any more.
    """

    place: Place
    fields: Mapping[str, Any] = field(default_factory=dict)
    maps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    origins: Mapping[str, Origin | None] = field(default_factory=dict)

    def and_also(self, other: StageChange) -> StageChange:
        """Both changes, of which the other one is later."""
        maps = {name: {**self.maps.get(name, {}), **other.maps.get(name, {})} for name in (*self.maps, *other.maps)}
        return StageChange(self.place, {**self.fields, **other.fields}, maps, {**self.origins, **other.origins})

    def on(self, rules: StageRules) -> StageRules:
        """The rules with this change made."""
        changed: dict[str, Any] = dict(self.fields)
        for name in MAPPED:
            if name in self.maps:
                merged = {**_as_map(rules, name), **self.maps[name]}
                kept = {key: value for key, value in merged.items() if value is not None}
                changed[name] = tuple(kept.values()) if name == GROUPS else kept
        return replace(rules, **changed, origins=self._origins_on(rules))

    def _origins_on(self, rules: StageRules) -> dict[str, Origin]:
        found = dict(rules.origins)
        for gate in _replaced(self.fields, found):
            del found[gate]
        for gate, new in self.origins.items():
            before = rules.origins.get(gate)
            if new is None:
                found.pop(gate, None)
            else:
                found[gate] = replace(new, over=(before,)) if before is not None else new
        return found


def group_key(group: Group) -> str:
    """The name of its gate."""
    return f"{group.how}:{group.name}"


def _as_map(rules: StageRules, name: str) -> Mapping[str, Any]:
    if name == GROUPS:
        return {group_key(group): group for group in rules.groups}
    found: Mapping[str, Any] = getattr(rules, name)
    return found


# a list that is replaced takes the gates of the old one away
_LISTS: Mapping[str, Callable[[str], bool]] = {
    "validation_tests": lambda gate: gate in SUITE or gate == "runtime_matches",
    "checks": lambda gate: gate.startswith("check:"),
    "custom": lambda gate: gate.startswith("rule:"),
}


def _replaced(fields: Mapping[str, Any], origins: Mapping[str, Origin]) -> list[str]:
    return [gate for name, is_its in _LISTS.items() if name in fields for gate in origins if is_its(gate)]
