"""Each gate with the line that asks for it, the weaker one it outweighs, and how its evidence is known."""

from __future__ import annotations

from dataclasses import replace

from lockgate.adapters.policyfile import parse_policy
from lockgate.domain.checks import Check
from lockgate.domain.evidence import Champion, Evidence, Metric
from lockgate.domain.grades import Grade
from lockgate.domain.versions import VersionRef
from lockgate.usecases.explain import Explained, Explanation, explained
from tests.unit.domain.cases import ANN, EVIDENCE, NOW, PINNED

POLICY = """level: enforce
stages:
  Production:
    min_accuracy: {at_least: 0.9, level: warn}
    max_latency_test.p95_ms: {at_most: 20, grade: measured}
    champion: {f1_score: {tolerance: 0.01}}
    required_tags: [team]
    validation_tests: [load_test]
    checks: [ci/bias]
    staging_duration_hours: 2
    approval_required: true
    rules:
      - {name: claimed, cel: "metrics.accuracy > 0.5 && checks['ci/bias']"}
      - {name: attested, cel: "checks['ci/bias']"}
      - {name: measured, cel: "metrics['latency_test.p95_ms'] < 30.0 && validation.load_test"}
      - {name: recorded, cel: "stage == 'Staging' && hours_in_stage > 1.0"}
      - {name: champion, cel: "metrics['latency_test.p95_ms'] <= champion.metrics['latency_test.p95_ms']"}
    any_of:
      either:
        - min_recall: 0.5
        - checks: [manual]
models:
  "ir*":
    stages: {Production: {min_accuracy: 0.95}}
governance: {min_staging_duration_hours: 24}
"""
MEASURED = Metric(3.5, "validation", Grade.MEASURED, NOW, PINNED)
FIGURE = "latency_test.p95_ms"
SEEN = replace(
    EVIDENCE,
    metrics={"accuracy": Metric(0.93, "run", at=NOW), FIGURE: MEASURED, "f1_score": Metric(0.8, "run")},
    champion=Champion(VersionRef("iris", 5), {"f1_score": Metric(0.8, "run"), FIGURE: Metric(4.0, "run")}),
    checks=(Check("ci/bias", True, ANN, NOW, PINNED),),
)


def explain(evidence: Evidence) -> Explanation:
    policy = parse_policy(POLICY)
    rules = policy.rules(evidence.ref.model, evidence.target)
    return explained(evidence, policy, rules, builtin=False)


def gates(evidence: Evidence = SEEN) -> dict[str, Explained]:
    return {each.gate.name: each for each in explain(evidence).gates}


def test_the_grade_of_each_gate_is_that_of_the_weakest_thing_it_reads():
    assert {name: each.grade for name, each in gates().items()} == {
        "artifacts_pinned": "measured",
        "min_accuracy": "claimed",
        f"max_{FIGURE}": "measured",
        "champion:f1_score": "claimed",
        "required_tags": "claimed",
        "runtime_matches": "measured",
        "load_test": "measured",
        "check:ci/bias": "attested",
        "rule:claimed": "claimed",
        "rule:attested": "attested",
        "rule:measured": "measured",
        "rule:recorded": "recorded",
        "rule:champion": "claimed",
        "any_of:either": "",
        "staging_duration_hours": "recorded",
        "approval_required": "recorded",
        "max_production_versions": "recorded",
    }


def test_what_is_not_there_has_no_grade_and_no_time():
    bare = gates(replace(SEEN, metrics={}, validation=None, checks=()))

    for name in ("min_accuracy", "champion:f1_score", "load_test", "check:ci/bias"):
        assert (bare[name].grade, bare[name].at) == ("", None)
    assert gates()["min_accuracy"].at == NOW


def test_each_gate_names_the_key_and_line_that_asks_for_it():
    lines = POLICY.splitlines()
    for name, word in (
        ("required_tags", "required_tags"),
        (f"max_{FIGURE}", "max_latency"),
        ("champion:f1_score", "champion:"),
        ("load_test", "validation_tests"),
        ("check:ci/bias", "checks:"),
        ("rule:attested", "name: attested"),
        ("any_of:either", "either:"),
    ):
        origin = gates()[name].origin
        assert origin is not None, name
        assert word in lines[origin.line - 1], (name, origin)
    assert gates()["artifacts_pinned"].origin is None


def test_of_two_that_ask_for_one_thing_the_one_that_counts_is_named_with_the_other():
    soak = gates()["staging_duration_hours"].origin
    assert soak is not None
    assert soak.key.startswith("governance.min_staging_duration_hours")
    assert [other.key for other in soak.over] == ["stages.Production.staging_duration_hours"]

    accuracy = gates()["min_accuracy"].origin
    assert accuracy is not None
    assert "ir*" in accuracy.key
    assert gates(replace(SEEN, ref=VersionRef("fraud", 1)))["min_accuracy"].gate.level == "warn"


def test_the_branches_of_a_group_are_explained_too():
    group = gates()["any_of:either"]

    assert [[each.gate.name for each in branch] for branch in group.branches] == [["min_recall"], ["check:manual"]]


def test_the_verdict_is_the_one_that_a_promotion_would_hear():
    found = explain(SEEN)

    assert tuple(each.gate for each in found.gates) == found.verdict.gates
    assert (found.ref, found.level, found.builtin) == (SEEN.ref, "enforce", False)
