"""The gates on metrics: a least and a largest value, and the comparison with the champion."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

from lockgate.domain.durations import spoken
from lockgate.domain.evidence import Champion, Evidence, Metric
from lockgate.domain.gates.ages import wrong_age
from lockgate.domain.grades import Grade
from lockgate.domain.policy import Ceiling, Comparison, Direction, Threshold
from lockgate.domain.validation import SUITE
from lockgate.domain.verdict import Gate, Level, Standing

HOLDS, WAITS, FAILS = Standing.HOLDS, Standing.WAITS, Standing.FAILS
_NAMED = 5  # metrics that are there, told where one is absent


def at_least(evidence: Evidence, name: str, rule: Threshold, level: Level) -> Gate:
    """Whether the metric reaches its least value."""
    required = f">= {_exact(rule.at_least)}{_conditions(rule.grade, rule.max_age)}"
    return _bounded(evidence, f"min_{name}", name, rule, required, level)


def at_most(evidence: Evidence, name: str, rule: Ceiling, level: Level) -> Gate:
    """Whether the metric stays under its largest value."""
    required = f"<= {_exact(rule.at_most)}{_conditions(rule.grade, rule.max_age)}"
    return _bounded(evidence, f"max_{name}", name, rule, required, level)


def better_than_champion(evidence: Evidence, name: str, rule: Comparison, level: Level) -> Gate:
    """Whether the metric is as good as the champion's, or worse by no more than the tolerance."""
    key, champion, metric = f"champion:{name}", evidence.champion, evidence.metrics.get(name)
    wanted = "as high as" if rule.direction is Direction.HIGHER else "as low as"
    required = f"{wanted} the champion's{_tolerance(rule)}{_conditions(rule.grade, None)}"
    if champion is None:
        hint = "" if rule.if_no_champion is HOLDS else "A first version needs if_no_champion: holds in the policy."
        because = "there is no champion to compare it with"
        return Gate(key, rule.if_no_champion, because, "no champion", required, hint, level)
    if champion.ref == evidence.ref:
        return Gate(key, HOLDS, "it is the champion itself", "the champion", required, level=level)
    if metric is None or math.isnan(metric.value):
        return _absent(evidence, key, name, metric, required, level)
    seen = _seen(metric, _exact(metric.value))
    if wrong := _ungraded(name, metric, rule.grade, evidence.artifacts.digest):
        return Gate(key, FAILS, wrong, seen, required, _graded_hint(evidence), level)
    theirs = champion.metrics.get(name)
    if wrong := _not_comparable(name, champion, theirs, rule.grade):
        hint = f"Log {name} for {champion.ref} too, or compare by another metric."
        return Gate(key, FAILS, wrong, seen, required, hint, level)
    assert theirs is not None, "not comparable otherwise"
    bound = _worst_allowed(theirs.value, rule)
    ours = _decimal(metric.value)
    fine = ours >= bound if rule.direction is Direction.HIGHER else ours <= bound
    against = f"{champion.ref} has {_exact(theirs.value)}"
    if fine:
        return Gate(key, HOLDS, f"{name} is {_exact(metric.value)}, {against}", seen, required, level=level)
    worse = "below" if rule.direction is Direction.HIGHER else "above"
    because = f"{name} is {_exact(metric.value)}, {worse} {_plainly(bound)}: {against}"
    return Gate(key, FAILS, because, seen, required, "Train a better model and register it.", level)


def is_figure(name: str) -> bool:
    """Whether a metric of that name is a figure of the validation's own tests, such as latency_test.p95_ms."""
    test, dot, figure = name.partition(".")
    return bool(dot and figure) and test in SUITE


def _bounded(evidence: Evidence, key: str, name: str, rule: Threshold | Ceiling, required: str, level: Level) -> Gate:
    metric = evidence.metrics.get(name)
    if metric is None or math.isnan(metric.value):
        return _absent(evidence, key, name, metric, required, level)
    value = f"{metric.value:.6g}"
    too_low = isinstance(rule, Threshold) and metric.value < rule.at_least
    too_high = isinstance(rule, Ceiling) and metric.value > rule.at_most
    bound = rule.at_least if isinstance(rule, Threshold) else rule.at_most
    if (too_low and float(value) >= bound) or (too_high and float(value) <= bound):
        value = _exact(metric.value)  # 0.8999999 must not read as 0.9
    seen = _seen(metric, value)
    if wrong := _ungraded(name, metric, rule.grade, evidence.artifacts.digest):
        return Gate(key, FAILS, wrong, seen, required, _graded_hint(evidence), level)
    if wrong := wrong_age(metric.at, evidence.now, rule.max_age):
        verb = "measured" if metric.grade is Grade.MEASURED else "logged"
        return Gate(key, FAILS, f"{name} was {verb} {wrong}", seen, required, _fresh_hint(evidence, metric), level)
    if too_low or too_high:
        because = f"{name} is {value}, {'below' if too_low else 'above'} {_exact(bound)}"
        return Gate(key, FAILS, because, seen, required, "Train a better model and register it.", level)
    return Gate(key, HOLDS, f"{name} is {value}", seen, required, level=level)


def _absent(evidence: Evidence, key: str, name: str, metric: Metric | None, required: str, level: Level) -> Gate:
    """The answer for a metric that is not there, or is no number."""
    validation = evidence.validation
    if metric is None and is_figure(name) and (validation is None or not validation.state.is_over):
        because = "it has not been validated" if validation is None else f"validation {validation.id} is not over"
        return Gate(key, WAITS, because, "not measured", required, f"lockgate validate {evidence.ref}", level)
    seen = "absent" if metric is None else "NaN"
    because = f"the metric {name} is {seen}"
    others = sorted(other for other in evidence.metrics if other != name and not is_figure(other))
    if metric is None and others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        because += f"; there are {', '.join(others[:_NAMED])}{more}"
    hint = f"Log it with mlflow.log_metric({name!r}, …) in the run that made this version."
    if is_figure(name):
        hint = f"lockgate validate {evidence.ref}"
    return Gate(key, FAILS, because, seen, required, hint, level)


def _ungraded(name: str, metric: Metric, wanted: Grade, pinned: str | None) -> str:
    """Why the metric's grade does not do, empty when it does. What it was measured on must be what is pinned."""
    if metric.digest is not None and metric.digest != pinned:
        return f"{name} was {metric.grade} of other artifacts than those pinned now"
    if metric.grade < wanted:
        who = "claimed by a client" if metric.grade is Grade.CLAIMED else "attested from outside"
        return f"{name} was {who} and the policy asks for {_a(wanted)} value"
    if wanted > Grade.CLAIMED and metric.digest is None:
        return f"nobody knows of which artifacts {name} was {metric.grade}"
    return ""


def _not_comparable(name: str, champion: Champion, theirs: Metric | None, wanted: Grade) -> str:
    """Why nothing can be compared with the champion's metric, empty when it can."""
    if theirs is None:
        return f"the champion {champion.ref} has no {name}"
    if not math.isfinite(theirs.value):
        return f"the {name} of the champion {champion.ref} is {theirs.value!r}"
    if wrong := _ungraded(name, theirs, wanted, champion.digest):
        return f"of the champion {champion.ref}: {wrong}"
    return ""


def _worst_allowed(theirs: float, rule: Comparison) -> Decimal:
    """The worst value that still holds. In decimals, so that 0.8 less 0.1 is 0.7 and not a little more."""
    champion = _decimal(theirs)
    allowed = _decimal(rule.absolute) + _decimal(rule.relative) * abs(champion)
    return champion - allowed if rule.direction is Direction.HIGHER else champion + allowed


def _tolerance(rule: Comparison) -> str:
    told = []
    if rule.absolute:
        told.append(_exact(rule.absolute))
    if rule.relative:
        told.append(f"{_plainly(_decimal(rule.relative) * 100)} %")
    if not told:
        return ""
    return f", or {' and '.join(told)} {'less' if rule.direction is Direction.HIGHER else 'more'}"


def _conditions(grade: Grade, max_age: timedelta | None) -> str:
    told = [] if grade is Grade.CLAIMED else [grade.value]
    if max_age is not None:
        told.append(f"at most {spoken(max_age)} old")
    return f" ({', '.join(told)})" if told else ""


def _seen(metric: Metric, value: str) -> str:
    return f"{value} ({metric.grade}, from the {metric.source})"


def _graded_hint(evidence: Evidence) -> str:
    return f"Lower the grade, or ask for what Lockgate measures itself: lockgate validate {evidence.ref}"


def _fresh_hint(evidence: Evidence, metric: Metric) -> str:
    if metric.grade is Grade.MEASURED:
        return f"lockgate validate {evidence.ref}"
    return "Evaluate it again and log the metric in the run that made this version."


def _a(grade: Grade) -> str:
    return f"an {grade}" if grade is Grade.ATTESTED else f"a {grade}"


def _exact(value: float) -> str:
    """The shortest text that is this number, without an empty fraction."""
    return repr(float(value)).removesuffix(".0")


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def _plainly(value: Decimal) -> str:
    return format(value.normalize(), "f") if abs(value.adjusted()) < 12 else str(value.normalize())
