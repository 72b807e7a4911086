"""The past under another policy: what is certain, and what nobody can know any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lockgate.domain.approvals import ApprovalRequest, RequestState
from lockgate.domain.evidence import Champion, CustomResult, Evidence, Metric, plan_digest
from lockgate.domain.policy import (
    ApprovalRule,
    Ceiling,
    Combined,
    Comparison,
    CustomRule,
    Direction,
    Group,
    Policy,
    RequiredCheck,
    StageRules,
    Threshold,
)
from lockgate.domain.rules import judge
from lockgate.domain.simulation import UNKNOWN, Simulated, as_if, lacking, simulated
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Level, Standing
from lockgate.domain.versions import VersionRef
from tests.unit.domain.cases import ANN, BEA, EVIDENCE, NOW, decision

BARE = StageRules(alias="production", required_tags=("team",))
HIGHER = Comparison(Direction.HIGHER)


def under(evidence: Evidence, old: StageRules, new: StageRules) -> Simulated:
    policy = Policy("sha256:new", Level.ENFORCE, {Stage.PRODUCTION: new}, ())
    then = judge(evidence, old, Level.ENFORCE)
    return simulated(then, as_if(evidence, old, policy, new), old, new, Level.ENFORCE)


@pytest.fixture
def evidence() -> Evidence:
    return replace(EVIDENCE, metrics={}, request=None)


def test_a_policy_that_asks_for_nothing_more_changes_nothing(evidence):
    assert under(evidence, BARE, BARE) == Simulated(Standing.HOLDS, Standing.HOLDS)


def test_what_is_certain_is_told_with_the_gates_that_make_the_difference(evidence):
    soaked = replace(BARE, soak=timedelta(days=30))
    found = under(evidence, BARE, soaked)

    assert (found.then, found.now) == (Standing.HOLDS, Standing.WAITS)
    assert found.because[0].startswith("staging_duration_hours waits:")
    back = under(evidence, soaked, BARE)
    assert back.because == ("staging_duration_hours would not stop it (waits then)",)


@pytest.mark.parametrize(
    ("new", "gate", "fact"),
    [
        (replace(BARE, metrics={"auc": Threshold(0.9)}), "min_auc", "the metric auc"),
        (replace(BARE, ceilings={"loss": Ceiling(0.2)}), "max_loss", "the metric loss"),
        (replace(BARE, champion={"f1": HIGHER}), "champion:f1", "the metric f1, the champion"),
        (replace(BARE, required_tags=("team", "owner")), "required_tags", "the tag owner"),
        (replace(BARE, checks=(RequiredCheck("ci"),)), "check:ci", "the checks from outside"),
        (replace(BARE, approval=ApprovalRule()), "approval_required", "who approved it"),
        (replace(BARE, max_versions=1), "max_production_versions", "what else was in Production"),
        (replace(BARE, custom=(CustomRule("a", "metrics.f1 > 0.5"),)), "rule:a", "the metric f1"),
        (replace(BARE, custom=(CustomRule("a", "metrics.all(k, metrics[k] > 0.5)"),)), "rule:a", "the metrics"),
        (replace(BARE, custom=(CustomRule("a", "tags.owner == 'x'"),)), "rule:a", "the tag owner"),
        (replace(BARE, custom=(CustomRule("a", "size(tags) > 1"),)), "rule:a", "the tags"),
        (replace(BARE, custom=(CustomRule("a", "!champion.present"),)), "rule:a", "the champion"),
        (replace(BARE, custom=(CustomRule("a", "champion.metrics.f1 > 0.5"),)), "rule:a", "the champion"),
        (replace(BARE, custom=(CustomRule("a", "checks.ci"),)), "rule:a", "the checks from outside"),
        (
            replace(BARE, custom=(CustomRule("a", "model.semantic_version == '1.0.0'"),)),
            "rule:a",
            "the semantic version",
        ),
        (
            replace(BARE, groups=(Group("either", Combined.ANY_OF, (replace(BARE, metrics={"auc": Threshold(1)}),)),)),
            "any_of:either",
            "the metric auc",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_rules_of_that_day_did_not_look_at_is_unknown(evidence, new, gate, fact):
    assert lacking(evidence, BARE, new) == {gate: fact}
    found = under(evidence, BARE, new)
    assert (found.now, found.lacking) == (UNKNOWN, (fact,))
    assert lacking(evidence, new, new) == {}, "rules always looked at what they ask for themselves"


@pytest.mark.parametrize(
    "rule",
    [
        "hours_in_stage > 1.0",
        "stage == 'Staging' && target == 'Production'",
        "tags.team == 'ml'",
        "tags['team'] == 'ml'",
        "validation.load_test",
        "model.name == 'iris' && model.version > 1",
    ],
)
def test_a_rule_that_reads_only_what_is_there_is_judged(evidence, rule):
    assert lacking(evidence, BARE, replace(BARE, custom=(CustomRule("a", rule),))) == {}


def test_a_gate_that_fails_for_certain_outweighs_what_is_unknown(evidence):
    found = under(evidence, BARE, replace(BARE, metrics={"auc": Threshold(0.9)}, previous_stage=Stage.NONE))

    assert found.now is Standing.FAILS
    assert found.because[0].startswith("previous_stage fails")


def test_a_tag_that_was_missing_decides_whatever_another_one_was(evidence):
    untagged = replace(evidence, tags={})
    new = replace(BARE, required_tags=("team", "owner"))

    assert under(untagged, BARE, new).now is Standing.FAILS


def test_what_is_unknown_and_only_observed_decides_nothing(evidence):
    new = replace(BARE, metrics={"auc": Threshold(0.9, level=Level.OBSERVE)})

    assert under(evidence, BARE, new).now == Standing.HOLDS


def test_a_metric_that_was_looked_at_and_was_not_there_is_known_to_be_absent(evidence):
    old = replace(BARE, metrics={"auc": Threshold(0.5, level=Level.OBSERVE)})

    assert under(evidence, old, replace(BARE, metrics={"auc": Threshold(0.9)})).now is Standing.FAILS


def test_the_champion_of_that_day_is_the_champion_of_the_simulation(evidence):
    old = replace(BARE, champion={"f1": Comparison(Direction.HIGHER, absolute=0.5)})
    champion = Champion(VersionRef("iris", 5), {"f1": Metric(0.9, "run")})
    compared = replace(evidence, metrics={"f1": Metric(0.8, "run")}, champion=champion)

    assert under(compared, old, replace(BARE, champion={"f1": HIGHER})).now is Standing.FAILS
    elsewhere = replace(BARE, champion={"f1": HIGHER}, champion_stage=Stage.STAGING)
    assert under(compared, old, elsewhere).now == UNKNOWN


def test_who_approved_the_plan_of_that_day_approved_it_under_the_other_policy_too(evidence):
    old = replace(BARE, approval=ApprovalRule())
    new = replace(old, soak=timedelta(hours=1))
    signed = decision(BEA, plan_digest(evidence, old))
    asked = ApprovalRequest(
        "apr", evidence.ref, Stage.PRODUCTION, ANN, "", NOW, signed.plan_digest, RequestState.APPROVED, (signed,)
    )
    approved = replace(evidence, request=asked)

    assert under(approved, old, new).now is Standing.HOLDS
    assert under(approved, old, replace(new, approval=ApprovalRule(approvals=2))).now is Standing.WAITS
    stale = replace(asked, decisions=(decision(BEA, "sha256:another plan"),))
    assert under(replace(evidence, request=stale), old, new).now is Standing.WAITS


def test_old_results_of_custom_rules_are_not_taken_for_new_ones(evidence):
    rule = CustomRule("a", "hours_in_stage > 1.0")
    kept = replace(evidence, custom={"a": CustomResult(True, "it is true")})

    assert under(kept, BARE, replace(BARE, custom=(rule,))).now is Standing.FAILS
