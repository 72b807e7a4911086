"""What a custom rule sees, when its result still counts, and what its gate answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.checks import Check
from lockgate.domain.custom import FALSE, NAMES, TRUE, asked, names_in, seen_by
from lockgate.domain.evidence import Champion, CustomResult, Evidence, Metric, plan_digest
from lockgate.domain.policy import Combined, CustomRule, Group, StageRules
from lockgate.domain.rules import judge
from lockgate.domain.verdict import Gate, Level, Standing
from lockgate.domain.versions import VersionRef
from lockgate.usecases.custom_rules import TIMES, Known, NoCustomRules, Unjudged, apart
from tests.unit.domain.cases import ANN, EVIDENCE, NOW, PINNED, REF

ALL = [" ".join(NAMES)]
RULE = CustomRule("mine", "metrics.accuracy > 0.5")
RULES = StageRules(alias="production", custom=(RULE,))


def gate_of(evidence: Evidence, rule: CustomRule, result: CustomResult | None) -> Gate:
    custom = {} if result is None else {rule.name: result}
    verdict = judge(replace(evidence, custom=custom), StageRules(alias="production", custom=(rule,)), Level.ENFORCE)
    return next(gate for gate in verdict.gates if gate.name == f"rule:{rule.name}")


def test_a_rule_sees_everything_under_the_names_of_the_reference():
    champion = Champion(VersionRef("iris", 5), {"accuracy": Metric(0.9, "run")})
    checks = (Check("ci/bias", True, ANN, NOW, PINNED), Check("ci/other", True, ANN, NOW, "sha256:other"))
    tags = {"team": "ml", "model_version": "2.1.0", "approval_request": "{}", "staging_timestamp": "x"}
    seen = seen_by(ALL, replace(EVIDENCE, champion=champion, checks=checks, tags=tags)).plain

    assert seen["metrics"] == {"accuracy": 0.93}
    assert seen["champion"] == {"present": True, "version": 5, "metrics": {"accuracy": 0.9}}
    assert seen["tags"] == {"team": "ml"}, "Lockgate's own are no evidence of their own act"
    assert seen["model"] == {"name": "iris", "version": 7, "semantic_version": "2.1.0"}
    assert seen["validation"]["schema_test"] is True
    assert seen["checks"] == {"ci/bias": True}, "what is of other artifacts says nothing of these"
    assert (seen["stage"], seen["target"], seen["hours_in_stage"]) == ("Staging", "Production", 48.0)


def test_a_rule_is_given_nothing_that_it_does_not_name():
    assert set(seen_by(["metrics.a > 1.0 && stage == 'Staging'"], EVIDENCE).plain) == {"metrics", "stage"}
    assert names_in(["mymetrics.a > 1.0 // tagsy"]) == frozenset()


def test_what_is_no_number_is_not_there_and_says_so():
    seen = seen_by(ALL, replace(EVIDENCE, metrics={"a": Metric(float("nan"), "run"), "b": Metric(float("inf"), "run")}))

    assert seen.plain["metrics"] == {"b": float("inf")}
    assert seen.absent["metrics.a"] == "it is NaN"


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"accuracy": Metric(0.94, "run")}},
        {"tags": {"team": "other"}},
        {"validation": None},
        {"stage_since": EVIDENCE.stage_since},
        {"champion": Champion(VersionRef("iris", 3))},
        {"checks": (Check("ci", False, ANN, NOW, PINNED),)},
    ],
    ids=str,
)
def test_the_digest_of_what_was_seen_changes_with_all_that_can_be_seen(change):
    changed = seen_by(ALL, replace(EVIDENCE, **change)).digest != seen_by(ALL, EVIDENCE).digest

    assert changed is ("stage_since" not in change)


def test_time_alone_changes_nothing_of_what_was_seen():
    later = replace(EVIDENCE, now=NOW + timedelta(days=3))

    assert seen_by(ALL, later).plain["hours_in_stage"] == 120.0
    assert seen_by(ALL, later).digest == seen_by(ALL, EVIDENCE).digest


@given(st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False), max_size=4))
def test_two_digests_are_one_only_for_the_same_values(values):
    def digest(found: dict[str, float]) -> str:
        return seen_by(ALL, replace(EVIDENCE, metrics={k: Metric(v, "run") for k, v in found.items()})).digest

    assert digest(values) == digest(dict(reversed(values.items())))
    assert digest(values) != digest(values | {"and one more": 1.0})


def test_an_approval_signs_what_the_rules_read_and_not_the_approvals_own_tags():
    plan = plan_digest(EVIDENCE, RULES)

    assert plan_digest(replace(EVIDENCE, metrics={"accuracy": Metric(0.94, "run")}), RULES) != plan
    assert plan_digest(replace(EVIDENCE, tags={**EVIDENCE.tags, "approval_request": "{}"}), RULES) == plan
    assert plan_digest(replace(EVIDENCE, custom={"mine": CustomResult(False, FALSE)}), RULES) == plan


def test_two_rules_of_one_name_must_both_be_true():
    other = StageRules(alias="production", custom=(CustomRule("mine", "false // never"),))
    both = replace(RULES, groups=(Group("any", Combined.ANY_OF, (other,)),))

    assert asked(both) == {"mine": "(metrics.accuracy > 0.5\n) && (false // never\n)"}


# --- the gate ---------------------------------------------------------------------------------------------------------


def test_only_true_holds():
    assert gate_of(EVIDENCE, RULE, CustomResult(True, TRUE)).standing is Standing.HOLDS
    for result in (None, CustomResult(False, FALSE), CustomResult(False, "it divides by zero")):
        assert gate_of(EVIDENCE, RULE, result).standing is Standing.FAILS


def test_a_rule_about_a_validation_that_is_still_missing_waits_for_it():
    rule = CustomRule("tested", "validation.load_test && metrics.accuracy > 0.5")
    missing = CustomResult(False, "validation.load_test is not there: it has not been validated")
    unvalidated = replace(EVIDENCE, validation=None)

    waits = gate_of(unvalidated, rule, missing)
    assert (waits.standing, waits.next) == (Standing.WAITS, f"lockgate validate {REF}")
    assert gate_of(unvalidated, rule, CustomResult(False, FALSE)).standing is Standing.FAILS, "no test would change it"
    assert gate_of(EVIDENCE, rule, missing).standing is Standing.FAILS, "the validation did not have it"


# --- evaluating apart from the lock -----------------------------------------------------------------------------------


def test_a_result_counts_for_the_evidence_it_was_evaluated_on_and_for_no_other():
    tries: list[float] = []

    def attempt(known: Known) -> Evidence:
        value = 0.6 + 0.1 * min(len(tries), 1)  # it changes once, between the evaluation and the second try
        tries.append(value)
        return known.on(replace(EVIDENCE, metrics={"accuracy": Metric(value, "run")}), RULES)

    found = apart(NoCustomRules(), attempt)

    assert tries == [0.6, 0.7, 0.7]
    assert set(found.custom) == {"mine"}


def test_evidence_that_never_stands_still_is_given_up_after_so_many_judgements():
    tries: list[bool] = []

    def attempt(known: Known) -> Evidence:
        tries.append(known.last)
        return known.on(replace(EVIDENCE, metrics={"accuracy": Metric(float(len(tries)), "run")}), RULES)

    with pytest.raises(Unjudged):
        apart(NoCustomRules(), attempt)
    assert tries == [False] * TIMES + [True]


def test_rules_without_custom_ones_cost_no_second_try():
    assert apart(NoCustomRules(), lambda known: known.on(EVIDENCE, StageRules(alias="x"))) is EVIDENCE
