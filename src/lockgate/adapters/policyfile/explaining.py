"""What a policy asks of one model, gate by gate, for `lockgate policy check`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lockgate.domain.durations import spoken
from lockgate.domain.grades import Grade
from lockgate.domain.policy import ApprovalRule, Policy, StageRules
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
    if rules.previous_stage is not None:
        yield "previous_stage", f"it is in {rules.previous_stage}", None
    for name, threshold in rules.metrics.items():
        measured = " (measured)" if threshold.grade is Grade.MEASURED else ""
        yield f"min_{name}", f">= {threshold.at_least!r}{measured}", threshold.level
    if rules.required_tags:
        yield "required_tags", ", ".join(rules.required_tags), None
    if rules.validation_tests:
        yield "runtime_matches", "the library versions it was logged with", None
    for test in rules.validation_tests:
        yield test, "passed", None
    if rules.require_signature:
        yield "require_signature", "a signature", None
    if rules.soak is not None:
        yield "staging_duration_hours", f"{spoken(rules.soak)} in Staging", None
    if rules.approval is not None:
        yield "approval_required", _approval(rules.approval), rules.approval.level
    if rules.max_versions is not None:
        leaving = ", the oldest leaves" if rules.evict_oldest else ""
        yield "max_production_versions", f"at most {rules.max_versions} in {stage}{leaving}", None


def _approval(rule: ApprovalRule) -> str:
    needed = "1 approval" if rule.approvals == 1 else f"{rule.approvals} approvals"
    roles = f" from {', '.join(rule.roles)}" if rule.roles else ""
    return f"{needed}{roles}{', not the requester' if rule.not_the_requester else ''}"
