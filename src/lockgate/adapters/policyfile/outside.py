"""The keys about what others say of a version: tags, tests, checks, custom rules and approvals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import yaml

from lockgate.adapters.policyfile.changes import StageChange, origin
from lockgate.adapters.policyfile.places import Place
from lockgate.adapters.policyfile.small import LONGEST, SHORTEST, read_level
from lockgate.domain.access import Role
from lockgate.domain.checks import check_name
from lockgate.domain.custom import LONGEST_RULE, Fault
from lockgate.domain.durations import spoken
from lockgate.domain.errors import BadInput
from lockgate.domain.policy import ApprovalRule, CustomRule, Origin, RequiredCheck, Team
from lockgate.domain.validation import KINDS, SUITE

MOST_APPROVALS, MOST_TEAMS = 10, 10
ROLES = tuple(role.value for role in Role)
CheckRule = Callable[[str], Sequence[Fault]]
"""What is wrong with a custom rule, each fault on a line of the rule counted from 1."""

TEST_HINTS = {
    kind: f"It is a kind of test, for governance: here write {', '.join(tests)}." for kind, tests in KINDS.items()
}
_RULE_NAME = re.compile(r"[A-Za-z0-9][\w\-]{0,63}", re.ASCII)


def in_order(tests: set[str]) -> tuple[str, ...]:
    """The tests in the order in which the suite runs them."""
    return tuple(test for test in SUITE if test in tests)


def read_tags(place: Place) -> StageChange:
    """`required_tags`: a list of names, or a mapping of names to the values that are wanted."""
    if place.is_mapping:
        values = {name: _values(child) for name, child in place.children().items()}
        names = tuple(values)
    else:
        found = place.texts("tag names")
        if found is None:
            return StageChange(place)
        values, names = {}, found
    wanted = {name: several for name, several in values.items() if several}
    told = ", ".join(f"{name}: {' or '.join(wanted[name])}" if name in wanted else name for name in names)
    gate = origin(place, told) if names else None
    return StageChange(place, {"required_tags": names, "tag_values": wanted}, origins={"required_tags": gate})


def _values(place: Place) -> tuple[str, ...]:
    """The wanted values of a tag; true is any."""
    if place.is_flag:
        if place.flag() is False:
            place.wrong("true for any value, a text, or a list of texts")
        return ()
    if not isinstance(place.node, yaml.SequenceNode):
        one = place.text("true for any value, a text, or a list of texts")
        return () if one is None else (one,)
    found = place.texts("wanted values")
    if found == ():
        place.refuse("an empty list", "at least one value, or true for any")
    return found or ()


def read_tests(place: Place) -> StageChange:
    """`validation_tests`: a list of tests of the suite, or {tests, max_age}."""
    age: timedelta | None = None
    listed = place
    if place.is_mapping:
        children = place.known(("tests", "max_age"))
        if "max_age" in children:
            age = children["max_age"].duration(SHORTEST, LONGEST)
        if "tests" not in children:
            place.refuse("no tests", "the key tests, such as {tests: [load_test], max_age: 30d}")
            return StageChange(place)
        listed = children["tests"]
    tests = listed.texts("tests", lambda item: item.one_of(SUITE, TEST_HINTS))
    if tests is None:
        return StageChange(place)
    says = "passed" if age is None else f"passed in the last {spoken(age)}"
    gates: dict[str, Origin | None] = dict.fromkeys(tests, origin(place, says))
    if tests:
        gates["runtime_matches"] = origin(place, "the same libraries")
    return StageChange(place, {"validation_tests": in_order(set(tests)), "validation_max_age": age}, origins=gates)


def read_checks(place: Place) -> StageChange:
    """`checks`: a list of names, or of {name, max_age, level}."""
    found: dict[str, RequiredCheck] = {}
    origins: dict[str, Origin | None] = {}
    for item in place.items("checks"):
        wanted = _check(item)
        if wanted is None:
            continue
        if wanted.name in found:
            item.refuse(f"the check '{wanted.name}' a second time", "it once")
            continue
        says = "passed" if wanted.max_age is None else f"passed in the last {spoken(wanted.max_age)}"
        found[wanted.name], origins[f"check:{wanted.name}"] = wanted, origin(item, says)
    return StageChange(place, {"checks": tuple(found.values())}, origins=origins)


def _check(place: Place) -> RequiredCheck | None:
    if not place.is_mapping:
        name = _check_name(place)
        return None if name is None else RequiredCheck(name)
    children = place.known(("name", "max_age", "level"))
    if "name" not in children:
        place.refuse("no name", "the key name, such as {name: ci/bias-audit, max_age: 7d}")
        return None
    name = _check_name(children["name"])
    age = children["max_age"].duration(SHORTEST, LONGEST) if "max_age" in children else None
    level = read_level(children["level"]) if "level" in children else None
    return None if name is None else RequiredCheck(name, age, level)


def _check_name(place: Place) -> str | None:
    written = place.text("the name of a check")
    if written is None:
        return None
    try:
        return check_name(written)
    except BadInput as wrong:
        place.wrong("the name of a check", wrong.hint)
        return None


def read_rules(place: Place, check: CheckRule | None) -> StageChange:
    """`rules`: a list of {name, cel, level}. `check` says what is wrong with an expression."""
    found: dict[str, CustomRule] = {}
    origins: dict[str, Origin | None] = {}
    for item in place.items("custom rules"):
        rule = _rule(item, check)
        if rule is None:
            continue
        if rule.name in found:
            item.refuse(f"the rule '{rule.name}' a second time", "another name for each rule")
            continue
        found[rule.name], origins[f"rule:{rule.name}"] = rule, origin(item, rule.cel)
    return StageChange(place, {"custom": tuple(found.values())}, origins=origins)


def _rule(place: Place, check: CheckRule | None) -> CustomRule | None:
    children = place.known(("name", "cel", "level"))
    missing = [key for key in ("name", "cel") if place.is_mapping and key not in children]
    for key in missing:
        place.refuse(f"no {key}", "a name and an expression, such as {name: small, cel: metrics.loss < 0.3}")
    if missing or not place.is_mapping:
        return None
    name = children["name"].text("a name")
    if name is not None and not _RULE_NAME.fullmatch(name):
        children["name"].wrong("a name of up to 64 letters, digits, - and _")
        name = None
    cel = _expression(children["cel"], check)
    level = read_level(children["level"]) if "level" in children else None
    return None if name is None or cel is None else CustomRule(name, cel, level)


def _expression(place: Place, check: CheckRule | None) -> str | None:
    expected = f"an expression of up to {LONGEST_RULE:,} characters, such as metrics.loss < 0.3"
    written = place.node.value if isinstance(place.node, yaml.ScalarNode) and not place.is_flag else None
    readable = isinstance(written, str) and all(each.isprintable() or each in "\n\t" for each in written)
    if not isinstance(written, str) or not readable or not 0 < len(written.strip()) <= LONGEST_RULE:
        place.wrong(expected)
        return None
    faults = check(written) if check is not None else ()
    # an expression in a block (cel: |) begins on the line after its key
    in_block = isinstance(place.node, yaml.ScalarNode) and place.node.style in ("|", ">")
    first = place.node.start_mark.line + (2 if in_block else 1)
    for fault in faults:
        place.on(first + fault.line - 1).refuse(
            "an expression that is wrong", "one that can be evaluated", fault.because
        )
    return written.strip() if not faults else None


def read_approval(place: Place) -> StageChange:
    """`approval_required`: true, false, or a mapping that says who must agree."""
    if place.is_flag:
        rule = ApprovalRule() if place.flag() else None
    elif place.is_mapping:
        rule = ApprovalRule(**dict(_approval_fields(place)))
    else:
        place.wrong(f"true, false or a mapping with the keys {', '.join(_APPROVAL)}")
        return StageChange(place)
    gate = origin(place, says_approval(rule)) if rule is not None else None
    return StageChange(place, {"approval": rule}, origins={"approval_required": gate})


def says_approval(rule: ApprovalRule) -> str:
    """The rule in a few words."""
    told = "1 approval" if rule.approvals == 1 else f"{rule.approvals} approvals"
    if rule.roles:
        told += f" from {' or '.join(rule.roles)}"
    for team in rule.teams:
        told += f", {team.approvals} of {team}"
    return told if rule.not_the_requester else f"{told}, the requester's own too"


_APPROVAL = (
    "approvals",
    "roles",
    "teams",
    "not_the_requester",
    "expires",
    "request_expires",
    "reason_required",
    "level",
)


def _approval_fields(place: Place) -> Iterator[tuple[str, Any]]:
    for key, child in place.known(_APPROVAL).items():
        value: object
        match key:
            case "approvals":
                value = child.whole(1, MOST_APPROVALS)
            case "roles":
                value = child.texts("roles", lambda item: item.one_of(ROLES))
            case "teams":
                value = tuple(team for item in child.items("teams") if (team := _team(item)) is not None)
                if len(value) > MOST_TEAMS:
                    child.refuse(f"{len(value)} teams", f"at most {MOST_TEAMS}")
            case "not_the_requester":
                value = child.flag()
            case "expires" | "request_expires":
                value = child.duration(SHORTEST, LONGEST)
            case "reason_required":
                key, value = "comment_required", child.flag()
            case _:
                value = read_level(child)
        if value is not None:
            yield key, value


def _team(place: Place) -> Team | None:
    """Somebody with a role, or one of these people."""
    children = place.known(("role", "people", "approvals"))
    if place.is_mapping and ("role" in children) == ("people" in children):
        found = "both role and people" if "role" in children else "neither role nor people"
        place.refuse(found, "one of the two, such as {role: approver} or {people: [bea, cem]}")
        return None
    approvals = children["approvals"].whole(1, MOST_APPROVALS) if "approvals" in children else 1
    if "role" in children:
        role = children["role"].one_of(ROLES)
        return None if role is None or approvals is None else Team(role=role, approvals=approvals)
    people = children["people"].texts("names") if "people" in children else None
    if people is None or approvals is None:
        return None
    if len(people) < approvals:
        place.refuse(f"{len(people)} people", f"at least {approvals}, so that so many of them can agree")
        return None
    return Team(people=people, approvals=approvals)
