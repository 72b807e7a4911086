"""The verdict: every policy key judged on the evidence. Pure, so that it can be judged again years later.

The gates themselves are in `gates/`, those that people open in `consent.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lockgate.domain.consent import approval_gate, quarantine_gate
from lockgate.domain.custom import wants_validation
from lockgate.domain.evidence import Evidence
from lockgate.domain.gates import artifacts, metrics, outside, stages
from lockgate.domain.gates.groups import branches, group_gate
from lockgate.domain.policy import Group, StageRules
from lockgate.domain.verdict import Gate, Level, Standing, Verdict
from lockgate.domain.versions import VersionRef

HOLDS, FAILS = Standing.HOLDS, Standing.FAILS
_OF_A_VALIDATION = ("runtime_matches", "require_signature")


def judge(evidence: Evidence, rules: StageRules, level: Level) -> Verdict:
    """Every gate for the target stage, in the order a person would clear them.

    Leaving a stage is never gated: a verdict for None or Archived has no gates and holds.
    """
    if not evidence.target.is_gated:
        return Verdict(())
    return Verdict(tuple(_gates(evidence, rules, level)))


def leavers(evidence: Evidence, rules: StageRules) -> tuple[VersionRef, ...]:
    """The versions that leave the target stage when this one enters.

    All of them when asked to archive, else the oldest over the limit where the policy says so.
    """
    if not evidence.target.is_gated:
        return ()
    if evidence.archive_existing:
        return evidence.occupants
    if rules.evict_oldest and rules.max_versions is not None:
        return evidence.occupants[: max(0, len(evidence.occupants) + 1 - rules.max_versions)]
    return ()


def branches_of(evidence: Evidence, group: Group, level: Level) -> tuple[tuple[Gate, ...], ...]:
    """The gates of each branch of a group, as they were judged for its one answer."""
    return branches(group, lambda branch: _required(evidence, branch, level))


def waits_for_validation(evidence: Evidence, rules: StageRules, verdict: Verdict) -> bool:
    """Whether a gate that stops the move waits for a validation: there is none of these files, or it is too old."""
    if is_fresh(evidence, rules):
        return False
    names = {name for each in rules.everywhere for name in _validated(each)}
    groups = {
        f"{group.how}:{group.name}"
        for each in rules.everywhere
        for group in each.groups
        if any(_validated(inner) for branch in group.branches for inner in branch.everywhere)
    }
    return any(gate.name in names | groups and gate.standing is Standing.WAITS for gate in verdict.binding)


def is_fresh(evidence: Evidence, rules: StageRules) -> bool:
    """Whether there is a validation of these very files, over, and not older than any rule allows."""
    validation = evidence.validation
    if validation is None or not validation.state.is_over or artifacts.is_of_other_artifacts(evidence):
        return False
    ages = [each.validation_max_age for each in rules.everywhere if each.validation_max_age is not None]
    return not ages or validation.finished_at is None or evidence.now - validation.finished_at <= min(ages)


def _validated(rules: StageRules) -> tuple[str, ...]:
    """The gates of these rules that look at a validation."""
    bounds = [f"min_{name}" for name in rules.metrics if metrics.is_figure(name)]
    bounds += [f"max_{name}" for name in rules.ceilings if metrics.is_figure(name)]
    bounds += [f"champion:{name}" for name in rules.champion if metrics.is_figure(name)]
    examined = _OF_A_VALIDATION if rules.validation_tests or rules.require_signature else ()
    custom = [f"rule:{rule.name}" for rule in rules.custom if wants_validation(rule.cel)]
    return (*rules.validation_tests, *examined, *bounds, *custom)


def _gates(evidence: Evidence, rules: StageRules, level: Level) -> Iterator[Gate]:
    yield artifacts.artifacts_pinned(evidence, level)
    # where nobody asks for a test, what a validation found of the libraries is told all the same
    yield from _required(evidence, rules, level, libraries=evidence.validation is not None)
    if evidence.quarantine is not None:
        yield quarantine_gate(evidence, rules, level)
    if rules.approval is not None:
        yield approval_gate(evidence, rules, rules.approval, rules.approval.level or level)
    if rules.max_versions is not None:
        yield _limit(evidence, rules, rules.max_versions, level)


def _required(evidence: Evidence, rules: StageRules, level: Level, *, libraries: bool = False) -> Iterator[Gate]:
    """The gates that may stand in a branch too: all but those of people and of the room in the stage."""
    if rules.previous_stage is not None:
        yield stages.previous_stage(evidence, rules.previous_stage, level)
    for name, threshold in rules.metrics.items():
        yield metrics.at_least(evidence, name, threshold, threshold.level or level)
    for name, ceiling in rules.ceilings.items():
        yield metrics.at_most(evidence, name, ceiling, ceiling.level or level)
    for name, comparison in rules.champion.items():
        yield metrics.better_than_champion(evidence, name, comparison, comparison.level or level)
    if rules.required_tags:
        yield outside.required_tags(evidence, rules, level)
    if libraries or rules.validation_tests:
        yield artifacts.runtime_matches(evidence, rules, level)
    yield from artifacts.validated(evidence, rules, level)
    for wanted in rules.checks:
        yield outside.check(evidence, wanted, wanted.level or level)
    for rule in rules.custom:
        yield outside.custom(evidence, rule, rule.level or level)
    for group in rules.groups:
        own = group.level or level
        yield group_gate(group, branches_of(evidence, group, own), own)
    if rules.soak is not None:
        yield stages.soak(evidence, rules.soak, level)


def _limit(evidence: Evidence, rules: StageRules, limit: int, level: Level) -> Gate:
    key = "max_production_versions"
    after = len(evidence.occupants) - len(leavers(evidence, rules)) + 1
    required = f"at most {limit} in {evidence.target}"
    if after <= limit:
        return Gate(key, HOLDS, f"{after} of {limit} with this one", str(after), required, level=level)
    going = evidence.occupants[: after - limit]
    names = ", ".join(str(ref) for ref in going) or "another version"
    because = f"{evidence.target} holds {len(evidence.occupants)} already; {names} would have to leave"
    move = f"lockgate promote {evidence.ref} --to {evidence.target.lower()}"
    hint = "Ask to archive existing versions, or set governance.evict: oldest."
    if going:
        hint = f"{move} --replace {going[0].version} names who leaves; {move} archives all that are there."
    return Gate(key, FAILS, because, str(after), required, hint, level)
