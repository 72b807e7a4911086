"""Each gate of a move with what it saw, what is required, which line of the policy asks for it, and how it is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from lockgate.domain.custom import names_in
from lockgate.domain.errors import BadInput
from lockgate.domain.evidence import Evidence, Metric
from lockgate.domain.grades import Grade
from lockgate.domain.policy import Group, Origin, Policy, StageRules
from lockgate.domain.rules import branches_of, judge
from lockgate.domain.stages import Stage
from lockgate.domain.validation import SUITE
from lockgate.domain.verdict import Gate, Level, Verdict
from lockgate.domain.versions import VersionRef
from lockgate.usecases.custom_rules import evaluated
from lockgate.usecases.gather import gather, inspect_artifacts
from lockgate.usecases.ports import Ports

RECORDED = "recorded"
"""Known from Lockgate's own rows: nobody claimed it and nothing had to be measured."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One gate, what asks for it (None: always judged), and how its evidence is known, of when.

    `branches` are the gates of a group, branch by branch.
    """

    gate: Gate
    origin: Origin | None
    grade: str
    at: datetime | None = None
    branches: tuple[tuple[Explained, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every gate of one move, judged now. `level` is that of the stage's rules; `builtin`: no file was applied."""

    ref: VersionRef
    stage: Stage
    verdict: Verdict
    gates: tuple[Explained, ...]
    level: Level
    policy_digest: str
    builtin: bool


def explain(ports: Ports, ref: VersionRef, stage: Stage, *, archive_existing: bool = True) -> Explanation:
    """Judge the move as it stands now. Pins the artifacts if that was not done yet; moves nothing.

    Raises NotFound, and BadInput for a prompt or a stage that has no gates.
    """
    if not stage.is_gated:
        raise BadInput(f"Moving to {stage} has no gates.", hint="Name staging or production.")
    facts = inspect_artifacts(ports, ref)
    with ports.store.reading() as work:
        if work.catalog.is_prompt(ref.model):
            raise BadInput(f"{ref.model} is a prompt, and prompts have no stages.", hint="Name a model.")
        policy, builtin = work.policies.in_force(), work.policies.text() is None
        rules = policy.rules(ref.model, stage)
        evidence = gather(work, policy, ref, stage, facts, ports.clock.now(), archive_existing=archive_existing)
    evidence = evaluated(ports.custom, evidence, rules)
    return explained(evidence, policy, rules, builtin=builtin)


def explained(evidence: Evidence, policy: Policy, rules: StageRules, *, builtin: bool) -> Explanation:
    """The explanation of a judgement on this evidence."""
    level = policy.level_for(rules)
    verdict = judge(evidence, rules, level)
    groups = {f"{group.how}:{group.name}": group for group in rules.groups}
    gates = tuple(_explained(evidence, rules, gate, groups.get(gate.name)) for gate in verdict.gates)
    return Explanation(evidence.ref, evidence.target, verdict, gates, level, policy.digest, builtin)


def _explained(evidence: Evidence, rules: StageRules, gate: Gate, group: Group | None) -> Explained:
    grade, at = _known(evidence, rules, gate.name)
    found = Explained(gate, rules.origins.get(gate.name), grade, at)
    if group is None:
        return found
    judged = branches_of(evidence, group, group.level or gate.level)
    return replace(
        found,
        grade="",
        branches=tuple(
            tuple(_explained(evidence, branch, each, None) for each in gates)
            for branch, gates in zip(group.branches, judged, strict=True)
        ),
    )


def _known(evidence: Evidence, rules: StageRules, gate: str) -> tuple[str, datetime | None]:
    """How what the gate looks at is known, and of when."""
    validation = evidence.validation
    if gate == "artifacts_pinned":
        return Grade.MEASURED, None
    if gate in SUITE or gate in ("runtime_matches", "require_signature"):
        return (Grade.MEASURED, validation.finished_at) if validation is not None else ("", None)
    if gate == "required_tags":
        return Grade.CLAIMED, None
    kind, _, name = gate.partition(":")
    if kind == "check":
        check = next((each for each in evidence.checks if each.name == name), None)
        return (Grade.ATTESTED, check.at) if check is not None else ("", None)
    if kind == "rule":
        rule = next(rule for rule in rules.custom if rule.name == name)
        return _weakest(evidence, rule.cel), None
    metric = evidence.metrics.get(name if kind == "champion" else gate[len("min_") :])
    if kind == "champion" or (gate.startswith(("min_", "max_")) and gate != "max_production_versions"):
        return (metric.grade, metric.at) if metric is not None else ("", None)
    return RECORDED, None


def _weakest(evidence: Evidence, rule: str) -> str:
    """The least grade of what a custom rule reads: it is no better than that."""
    read = names_in([rule])
    grades: list[Grade] = []
    champion = evidence.champion.metrics if evidence.champion is not None and "champion" in read else {}
    metrics = evidence.metrics if "metrics" in read else {}
    grades += [_grade(metric) for named in (champion, metrics) for name, metric in named.items() if name in rule]
    if "tags" in read:
        grades.append(Grade.CLAIMED)
    if "checks" in read:
        grades.append(Grade.ATTESTED)
    if "validation" in read:
        grades.append(Grade.MEASURED)
    return min(grades, key=lambda grade: grade.rank) if grades else RECORDED


def _grade(metric: Metric) -> Grade:
    return Grade(metric.grade)
