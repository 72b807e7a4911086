"""What a policy asks of one model, gate by gate, for `lockgate policy check`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lockgate.domain.durations import spoken
from lockgate.domain.grades import Grade
from lockgate.domain.policy import ApprovalRule, Ceiling, Combined, Group, Policy, StageRules, Threshold
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Level


@dataclass(frozen=True, slots=True)
class AskedFor:
    """One gate on the way into one stage: what it requires, and how much its answer counts."""

    stage: Stage
    gate: str
    requirement: str
    level: Level


def explain(policy: Policy, model: str) -> list[AskedFor]:
    """Every gate that a version of this model meets, in the order in which they are judged."""
    asked = []
    for stage in (Stage.STAGING, Stage.PRODUCTION):
        rules = policy.rules(model, stage)
        level = policy.level_for(rules)
        asked += [AskedFor(stage, gate, required, own or level) for gate, required, own in _asked(rules, stage)]
    return asked


def _asked(rules: StageRules, stage: Stage) -> Iterator[tuple[str, str, Level | None]]:
    yield "artifacts_pinned", "every file is readable, and as it was pinned", None
    yield from _required(rules)
    if rules.approval is not None:
        yield "approval_required", _approval(rules.approval), rules.approval.level
    if rules.max_versions is not None:
        leaving = ", the oldest leaves" if rules.evict_oldest else ""
        yield "max_production_versions", f"at most {rules.max_versions} in {stage}{leaving}", None


def _required(rules: StageRules) -> Iterator[tuple[str, str, Level | None]]:
    if rules.previous_stage is not None:
        yield "previous_stage", f"it is in {rules.previous_stage}", None
    for name, threshold in rules.metrics.items():
        yield f"min_{name}", f">= {threshold.at_least!r}{_conditions(threshold)}", threshold.level
    for name, ceiling in rules.ceilings.items():
        yield f"max_{name}", f"<= {ceiling.at_most!r}{_conditions(ceiling)}", ceiling.level
    for name, comparison in rules.champion.items():
        yield f"champion:{name}", f"{comparison.direction} than the champion's, or nearly", comparison.level
    if rules.required_tags:
        yield "required_tags", ", ".join(_tag(rules, key) for key in rules.required_tags), None
    if rules.validation_tests:
        yield "runtime_matches", "the library versions it was logged with", None
    age = f" in the last {spoken(rules.validation_max_age)}" if rules.validation_max_age is not None else ""
    for test in rules.validation_tests:
        yield test, f"passed{age}", None
    if rules.require_signature:
        yield "require_signature", "a signature", None
    for check in rules.checks:
        within = f" in the last {spoken(check.max_age)}" if check.max_age is not None else ""
        yield f"check:{check.name}", f"passed{within}", check.level
    for rule in rules.custom:
        yield f"rule:{rule.name}", rule.cel, rule.level
    for group in rules.groups:
        yield f"{group.how}:{group.name}", _branches(group), group.level
    if rules.soak is not None:
        yield "staging_duration_hours", f"{spoken(rules.soak)} in Staging", None


def _conditions(bound: Threshold | Ceiling) -> str:
    told = [] if bound.grade is Grade.CLAIMED else [bound.grade.value]
    if bound.max_age is not None:
        told.append(f"at most {spoken(bound.max_age)} old")
    return f" ({', '.join(told)})" if told else ""


def _tag(rules: StageRules, key: str) -> str:
    values = rules.tag_values.get(key)
    return f"{key}: {' or '.join(values)}" if values else key


def _branches(group: Group) -> str:
    told = [" and ".join(f"{gate} {required}" for gate, required, _ in _required(each)) for each in group.branches]
    return f"{'every one' if group.how is Combined.ALL_OF else 'one'} of: {' | '.join(told)}"


def _approval(rule: ApprovalRule) -> str:
    needed = "1 approval" if rule.approvals == 1 else f"{rule.approvals} approvals"
    roles = f" from {', '.join(rule.roles)}" if rule.roles else ""
    teams = "".join(f", {team.approvals} of {team}" for team in rule.teams)
    return f"{needed}{roles}{teams}{', not the requester' if rule.not_the_requester else ''}"
