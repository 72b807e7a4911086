"""What gates may never do: answer a better version worse, a stricter rule milder, or hold for what is not there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from lockgate.domain.evidence import ArtifactFacts, Evidence, Metric
from lockgate.domain.grades import Grade
from lockgate.domain.policy import Ceiling, Comparison, Direction, StageRules, Threshold
from lockgate.domain.rules import judge
from lockgate.domain.verdict import Level, Standing, Verdict
from tests.unit.domain.generated import AGES, CEILINGS, COMPARISONS, EVIDENCE, METRICS, RULES, THRESHOLDS

HOLDS, WAITS, FAILS = Standing.HOLDS, Standing.WAITS, Standing.FAILS
RANK = {FAILS: 0, WAITS: 1, HOLDS: 2}
BARE = StageRules("production")
MORE = st.floats(0, 5)


def standing(evidence: Evidence, rules: StageRules, name: str) -> int:
    found = {gate.name: gate for gate in judge(evidence, rules, Level.ENFORCE).gates}
    return RANK[found[name].standing]


def with_metric(evidence: Evidence, metric: Metric) -> Evidence:
    return replace(evidence, metrics={**evidence.metrics, "m": metric})


@given(EVIDENCE, METRICS, THRESHOLDS, CEILINGS, COMPARISONS, MORE)
def test_a_better_value_is_never_answered_worse(
    evidence: Evidence, metric: Metric, least: Threshold, most: Ceiling, comparison: Comparison, more: float
) -> None:
    assume(metric.value == metric.value)
    rules = replace(BARE, metrics={"m": least}, ceilings={"m": most}, champion={"m": comparison})
    higher, lower = (with_metric(evidence, replace(metric, value=metric.value + by)) for by in (more, -more))
    as_is = with_metric(evidence, metric)

    assert standing(higher, rules, "min_m") >= standing(as_is, rules, "min_m")
    assert standing(lower, rules, "max_m") >= standing(as_is, rules, "max_m")
    better = higher if comparison.direction is Direction.HIGHER else lower
    assert standing(better, rules, "champion:m") >= standing(as_is, rules, "champion:m")


@given(EVIDENCE, METRICS, THRESHOLDS, AGES, st.sampled_from(Grade), MORE)
def test_a_stricter_bound_is_never_answered_milder(
    evidence: Evidence, metric: Metric, rule: Threshold, age: timedelta | None, grade: Grade, more: float
) -> None:
    stricter = replace(
        rule,
        at_least=rule.at_least + more,
        grade=max(rule.grade, grade),
        max_age=min((each for each in (rule.max_age, age) if each is not None), default=None),
    )
    seen = with_metric(evidence, metric)

    before, after = (standing(seen, replace(BARE, metrics={"m": each}), "min_m") for each in (rule, stricter))
    assert after <= before


@given(EVIDENCE, METRICS, COMPARISONS, st.floats(0, 1))
def test_less_tolerance_is_never_answered_milder(
    evidence: Evidence, metric: Metric, rule: Comparison, share: float
) -> None:
    stricter = replace(rule, absolute=rule.absolute * share, relative=rule.relative * share)
    seen = with_metric(evidence, metric)

    before, after = (standing(seen, replace(BARE, champion={"m": each}), "champion:m") for each in (rule, stricter))
    assert after <= before


@given(EVIDENCE, METRICS, THRESHOLDS, st.sampled_from(Grade))
def test_a_better_grade_is_never_answered_worse(
    evidence: Evidence, metric: Metric, rule: Threshold, grade: Grade
) -> None:
    better = replace(metric, grade=max(metric.grade, grade))
    rules = replace(BARE, metrics={"m": rule})

    assert standing(with_metric(evidence, better), rules, "min_m") >= standing(
        with_metric(evidence, metric), rules, "min_m"
    )


@given(EVIDENCE, RULES, RULES)
def test_asking_for_more_never_makes_a_verdict_better(evidence: Evidence, rules: StageRules, more: StageRules) -> None:
    # approvals are of one plan, which is another one under other rules
    rules, more = (replace(each, approval=None, max_versions=None) for each in (rules, more))
    evidence = replace(evidence, quarantine=None)
    before = judge(evidence, rules, Level.ENFORCE)
    after = judge(evidence, _both(rules, more), Level.ENFORCE)

    assert RANK[worst_of(after, before)] <= RANK[worst_of(before, before)]


def worst_of(verdict: Verdict, among: Verdict) -> Standing:
    """The worst of the gates that the other verdict has too."""
    names = {gate.name for gate in among.gates}
    standings = [gate.standing for gate in verdict.gates if gate.name in names]
    return min(standings, key=RANK.__getitem__)


def _both(rules: StageRules, more: StageRules) -> StageRules:
    """All that the first asks for, and of the second what the first does not speak of."""

    return replace(
        rules,
        metrics={**more.metrics, **rules.metrics},
        ceilings={**more.ceilings, **rules.ceilings},
        champion={**more.champion, **rules.champion},
        checks=rules.checks + tuple(c for c in more.checks if c.name not in {each.name for each in rules.checks}),
        groups=rules.groups or more.groups,
        previous_stage=rules.previous_stage or more.previous_stage,
        require_signature=rules.require_signature or more.require_signature,
    )


@given(EVIDENCE, RULES)
def test_with_no_evidence_nothing_that_looks_at_any_holds(evidence: Evidence, rules: StageRules) -> None:
    nothing = replace(
        evidence,
        artifacts=ArtifactFacts(None),
        metrics={},
        tags={},
        validation=None,
        request=None,
        champion=None,
        checks=(),
        custom={},
    )
    free = {"previous_stage", "staging_duration_hours", "max_production_versions"}
    for gate in judge(nothing, rules, Level.ENFORCE).gates:
        may_say_so = gate.name.startswith("champion:") or gate.name.partition(":")[0] in ("any_of", "all_of")
        assert gate.name in free or may_say_so or gate.standing is not HOLDS, gate


@given(EVIDENCE, RULES, st.sampled_from(Level))
def test_each_gate_comes_once_and_a_verdict_is_read_back_as_it_was(
    evidence: Evidence, rules: StageRules, level: Level
) -> None:
    verdict = judge(evidence, rules, level)

    names = [gate.name for gate in verdict.gates]
    assert len(names) == len(set(names))
    assert Verdict.from_plain(verdict.as_plain()) == verdict
