"""The keys about metrics: `min_<metric>`, `max_<metric>` and the comparison with the champion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from lockgate.adapters.policyfile.changes import StageChange, origin
from lockgate.adapters.policyfile.places import Place, near_miss
from lockgate.adapters.policyfile.small import LONGEST, SHORTEST, read_level
from lockgate.domain.grades import Grade
from lockgate.domain.policy import Ceiling, Comparison, Direction, Origin, Threshold
from lockgate.domain.verdict import Standing

GRADES = tuple(grade.value for grade in Grade)
# metrics that are a share of one: 85 is a slip for 0.85
SHARES = ("accuracy", "precision", "recall", "f1", "f1_score", "auc", "roc_auc")
_METRIC = re.compile(r"[\w.\-/ :]+")
_PERCENT = re.compile(r"(?P<number>[0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")
_BOUND = {"min_": ("at_least", "metrics", ">="), "max_": ("at_most", "ceilings", "<=")}


def read_bound(key: str, place: Place, *, override: bool) -> StageChange:
    """`min_<metric>` or `max_<metric>`: a number, or a mapping with its bound, grade, max_age and level."""
    prefix, name = key[:4], key[4:]
    word, kept_in, sign = _BOUND[prefix]
    if not _METRIC.fullmatch(name):
        place.refuse(f"the key '{key[:60]}'", f"{prefix} and the name of a metric, such as {prefix}accuracy")
        return StageChange(place)
    if override and place.is_null:
        return StageChange(place, maps={kept_in: {name: None}}, origins={key: None})
    found = _bound(prefix, name, word, place)
    if found is None:
        return StageChange(place)
    bound = found.at_least if isinstance(found, Threshold) else found.at_most
    return StageChange(place, maps={kept_in: {name: found}}, origins={key: origin(place, f"{sign} {bound!r}")})


def _bound(prefix: str, name: str, word: str, place: Place) -> Threshold | Ceiling | None:
    make: Any = Threshold if prefix == "min_" else Ceiling
    if not place.is_mapping:
        if meant := near_miss(name, SHARES):
            hint = f"Did you mean {prefix}{meant}? If it is called so, write {prefix}{name}: {{{word}: …}}."
            place.refuse(f"the metric '{name}'", "a metric that your models log", hint)
            return None
        value = _value(name, place)
        return None if value is None else make(value)
    children = place.known((word, "grade", "max_age", "level"))
    if word not in children:
        place.refuse(f"no {word}", f"the key {word}, such as {{{word}: 0.85}}")
        return None
    value = _value(name, children[word])
    grade, level = _grade(children), read_level(children["level"]) if "level" in children else None
    age = children["max_age"].duration(SHORTEST, LONGEST) if "max_age" in children else None
    return None if value is None else make(value, grade, level, age)


def read_champion(place: Place, *, override: bool) -> StageChange:
    """`champion`: a mapping of metrics to how each is compared with the champion's."""
    found: dict[str, Comparison | None] = {}
    origins: dict[str, Origin | None] = {}
    for name, child in place.children("a mapping of metrics to how they are compared").items():
        gate = f"champion:{name}"
        if not _METRIC.fullmatch(name):
            child.refuse(f"the key '{name[:60]}'", "the name of a metric, such as f1_score")
        elif override and child.is_null:
            found[name], origins[gate] = None, None
        elif (comparison := _comparison(name, child)) is not None:
            found[name], origins[gate] = comparison, origin(child, f"{comparison.direction} than the champion's")
    return StageChange(place, maps={"champion": found}, origins=origins)


def _comparison(name: str, place: Place) -> Comparison | None:
    if not place.is_mapping:
        written = place.one_of(tuple(Direction))
        return None if written is None else Comparison(Direction(written))
    children = place.known(("direction", "tolerance", "if_no_champion", "grade", "level"))
    fields: dict[str, Any] = {"grade": _grade(children)}
    direction = Direction.HIGHER if name in SHARES else None
    if child := children.get("direction"):
        written = child.one_of(tuple(Direction))
        direction = Direction(written) if written else None
    elif direction is None:
        place.refuse("no direction", "the key direction, higher or lower: which value of this metric is the better one")
    if child := children.get("tolerance"):
        fields.update(_tolerance(child))
    if child := children.get("if_no_champion"):
        fields["if_no_champion"] = Standing(child.one_of(tuple(Standing)) or Standing.FAILS)
    if child := children.get("level"):
        fields["level"] = read_level(child)
    return None if direction is None else Comparison(direction, **fields)


def _tolerance(place: Place) -> dict[str, float]:
    """A number, in the metric's own unit, or a share of the champion's value such as 1%."""
    expected = "a number from 0 up, or a share of the champion's value from 0% to 100%"
    share = _PERCENT.fullmatch(place.written.strip())
    if share is None:
        value = place.number(expected, least=0)
        return {} if value is None else {"absolute": value}
    number = Decimal(share["number"])
    if number > 100:
        place.wrong(expected)
        return {}
    return {"relative": float(number / 100)}


def _value(name: str, place: Place) -> float | None:
    if name in SHARES:
        return place.number("a number from 0 to 1", least=0, most=1)
    return place.number("a number")


def _grade(children: Mapping[str, Place]) -> Grade:
    return Grade((children["grade"].one_of(GRADES) if "grade" in children else None) or Grade.CLAIMED)
