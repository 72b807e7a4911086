"""Bounds, the champion, checks, custom rules, wanted tags, teams and groups: how they are written, and their slips."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockgate.adapters.policyfile import PolicyFileError, explain, parse_policy
from lockgate.domain.custom import Fault
from lockgate.domain.grades import Grade
from lockgate.domain.policy import (
    ApprovalRule,
    Ceiling,
    Combined,
    Comparison,
    CustomRule,
    Direction,
    Group,
    RequiredCheck,
    StageRules,
    Team,
    Threshold,
)
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Level, Standing

HIGHER, LOWER = Direction.HIGHER, Direction.LOWER


def production(requires: str, model: str = "iris", *, more: str = "") -> StageRules:
    text = f"stages:\n  Production:\n    requires:\n      {requires}\n{more}"
    return parse_policy(text).rules(model, Stage.PRODUCTION)


def problem(requires: str, faults: tuple[Fault, ...] = ()) -> str:
    text = f"stages:\n  Production:\n    requires:\n      {requires}\n"
    with pytest.raises(PolicyFileError) as caught:
        parse_policy(text, check_rule=lambda _rule: faults)
    return caught.value.message.removeprefix("lockgate.yaml:")


def test_a_metric_may_have_a_least_and_a_largest_value() -> None:
    rules = production("min_f1: 0.5\n      max_loss: {at_most: 3, grade: attested, max_age: 30d, level: warn}")

    assert rules.metrics == {"f1": Threshold(0.5)}
    assert rules.ceilings == {"loss": Ceiling(3, Grade.ATTESTED, Level.WARN, timedelta(days=30))}


def test_a_claim_may_have_to_be_fresh() -> None:
    assert production("min_f1: {at_least: 0.5, max_age: 12h}").metrics["f1"].max_age == timedelta(hours=12)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("higher", Comparison(HIGHER)),
        ("lower", Comparison(LOWER)),
        ("{direction: lower, tolerance: 0.5}", Comparison(LOWER, 0.5)),
        ("{direction: lower, tolerance: 1%}", Comparison(LOWER, relative=0.01)),
        ("{direction: lower, tolerance: 0.1 %}", Comparison(LOWER, relative=0.001)),
        ("{direction: higher, if_no_champion: holds}", Comparison(HIGHER, if_no_champion=Standing.HOLDS)),
        (
            "{direction: higher, grade: measured, level: warn}",
            Comparison(HIGHER, grade=Grade.MEASURED, level=Level.WARN),
        ),
    ],
)
def test_a_metric_is_compared_with_the_champions(written: str, read: Comparison) -> None:
    assert production(f"champion: {{rmse: {written}}}").champion == {"rmse": read}


def test_a_model_takes_a_comparison_away_by_the_metrics_name() -> None:
    more = 'models: {"toy-*": {stages: {Production: {champion: {f1: ~}}}}}\n'
    asked = "champion: {f1: higher, loss: lower}"

    assert set(production(asked, "toy-1", more=more).champion) == {"loss"}
    assert set(production(asked, "iris", more=more).champion) == {"f1", "loss"}


def test_of_a_share_more_is_better_unless_the_file_says_otherwise() -> None:
    assert production("champion: {f1_score: {}}").champion == {"f1_score": Comparison(HIGHER)}


def test_the_champion_is_the_one_in_production_unless_the_file_says_otherwise() -> None:
    assert production("champion: {f1: higher}").champion_stage is Stage.PRODUCTION
    assert production("champion_stage: Staging").champion_stage is Stage.STAGING


def test_checks_are_names_or_say_how_old_they_may_be() -> None:
    assert production("checks: [ci, {name: ci/bias, max_age: 7d, level: observe}]").checks == (
        RequiredCheck("ci"),
        RequiredCheck("ci/bias", timedelta(days=7), Level.OBSERVE),
    )


def test_tags_may_have_wanted_values() -> None:
    rules = production("required_tags: {risk: [low, medium], team: true, region: eu}")

    assert rules.required_tags == ("risk", "team", "region")
    assert rules.tag_values == {"risk": ("low", "medium"), "region": ("eu",)}


def test_a_validation_may_have_to_be_fresh() -> None:
    rules = production("validation_tests: {tests: [load_test], max_age: 30d}")

    assert (rules.validation_tests, rules.validation_max_age) == (("load_test",), timedelta(days=30))


def test_custom_rules_are_read_with_their_names() -> None:
    rules = production("rules: [{name: small, cel: 'metrics.loss < 0.3', level: warn}, {name: two, cel: 'true'}]")

    assert rules.custom == (CustomRule("small", "metrics.loss < 0.3", Level.WARN), CustomRule("two", "true"))


def test_a_custom_rule_may_take_several_lines() -> None:
    rules = production("rules:\n        - name: a\n          cel: |\n            metrics.x > 1\n            && true\n")

    assert rules.custom == (CustomRule("a", "metrics.x > 1\n&& true"),)


def test_several_teams_may_have_to_agree() -> None:
    rules = production(
        "approval_required: {approvals: 2, roles: [approver, admin], expires: 7d, request_expires: 30d,"
        " reason_required: true, teams: [{role: approver}, {people: [bea, cem], approvals: 2}]}"
    )

    assert rules.approval == ApprovalRule(
        approvals=2,
        roles=("approver", "admin"),
        teams=(Team(role="approver"), Team(people=("bea", "cem"), approvals=2)),
        expires=timedelta(days=7),
        request_expires=timedelta(days=30),
        comment_required=True,
    )


class TestGroups:
    TEXT = "any_of: {good_or_seen: [{min_accuracy: 0.95}, {min_accuracy: 0.9, checks: [review]}]}"
    READ = Group(
        "good_or_seen",
        Combined.ANY_OF,
        (
            StageRules("", metrics={"accuracy": Threshold(0.95)}),
            StageRules("", metrics={"accuracy": Threshold(0.9)}, checks=(RequiredCheck("review"),)),
        ),
    )

    def test_branches_are_requirements(self) -> None:
        assert production(self.TEXT).groups == (self.READ,)

    def test_a_group_may_have_a_level(self) -> None:
        (group,) = production("all_of: {g: {of: [{min_f1: 0.5}], level: warn}}").groups

        assert (group.how, group.level) == (Combined.ALL_OF, Level.WARN)

    def test_groups_may_stand_in_branches(self) -> None:
        (group,) = production("any_of: {g: [{all_of: {h: [{min_f1: 0.5}]}}, {require_signature: true}]}").groups

        assert group.branches[0].groups[0].name == "h"
        assert len(production("any_of: {g: [{all_of: {h: [{min_f1: 0.5}]}}]}").everywhere) == 3

    def test_a_model_takes_one_away_by_its_name(self) -> None:
        more = 'models: {"toy-*": {stages: {Production: {any_of: {good_or_seen: ~}}}}}\n'

        assert production(self.TEXT, "toy-1", more=more).groups == ()
        assert production(self.TEXT, "iris", more=more).groups == (self.READ,)

    def test_they_are_explained(self) -> None:
        rows = explain(parse_policy(f"stages:\n  Production: {{{self.TEXT}}}"), "iris")

        (row,) = [row for row in rows if row.gate == "any_of:good_or_seen"]
        assert row.requirement == "one of: min_accuracy >= 0.95 | min_accuracy >= 0.9 and check:review passed"


@pytest.mark.parametrize(
    ("requires", "told"),
    [
        (
            "max_loss: {at_least: 1}",
            "found the unknown key 'at_least', expected one of at_most, grade, max_age, level.",
        ),
        ("max_loss: low", "expected a number."),
        ("max_accuracy: 85", "expected a number from 0 to 1."),
        ("max_age: 30d", "It belongs to one requirement"),
        ("max_endpoints: 3", "It belongs at the top of the file"),
        ("max_: 1", "max_ and the name of a metric"),
        ("min_f1: {at_least: 0.5, max_age: 1s}", "expected a length of time from 1 min to 3660 d"),
        ("min_f1: {at_least: 0.5, max_age: 30}", "expected a length of time from 1 min to 3660 d"),
        ("champion: [f1]", "found a list, expected a mapping of metrics to how they are compared"),
        ("champion: {rmse: {}}", "found no direction"),
        ("champion: {'a$b': higher}", "expected the name of a metric"),
        ("champion: {rmse: up}", "found 'up', expected higher or lower."),
        ("champion: {rmse: ~}", "found nothing, expected higher or lower."),
        ("champion: {f1: {tolerance: -1}}", "expected a number from 0 up"),
        ("champion: {f1: {tolerance: 101%}}", "from 0% to 100%"),
        ("champion: {f1: {tolerance: much}}", "found 'much'"),
        ("champion: {f1: {if_no_champion: maybe}}", "expected holds, waits or fails."),
        ("champion: {f1: {tolerence: 1}}", "Did you mean tolerance?"),
        ("champion_stage: Archived", "expected Staging or Production."),
        ("checks: ci", "found 'ci', expected a list of checks"),
        ("checks: [CI!]", "Write 1 to 100 of a-z 0-9"),
        ("checks: [ci, ci]", "found the check 'ci' a second time"),
        ("checks: [{max_age: 7d}]", "found no name"),
        ("checks: [{name: ci, age: 7d}]", "found the unknown key 'age'"),
        ("required_tags: {risk: 1}", "Quote it."),
        ("required_tags: {risk: false}", "expected true for any value"),
        ("required_tags: {risk: []}", "found an empty list, expected at least one value"),
        ("validation_tests: {max_age: 30d}", "found no tests"),
        ("validation_tests: {tests: [unit]}", "here write schema_test, inference_test."),
        ("rules: {a: b}", "expected a list of custom rules"),
        ("rules: ['true']", "expected a mapping with the keys name, cel, level"),
        ("rules: [{name: a}]", "found no cel"),
        ("rules: [{cel: 'true'}]", "found no name"),
        ("rules: [{name: 'a b', cel: 'true'}]", "a name of up to 64 letters"),
        ("rules: [{name: a, cel: true}]", "found true, expected an expression"),
        ("rules: [{name: a, cel: ''}]", "expected an expression"),
        ('rules: [{name: a, cel: "1\\u0000"}]', "expected an expression"),
        ("rules: [{name: a, cel: 'true'}, {name: a, cel: 'true'}]", "found the rule 'a' a second time"),
        (
            "rules: [{name: a, cel: 'true'}]\n      any_of: {g: [{rules: [{name: a, cel: 'false'}]}]}",
            "two rules with the name 'a'",
        ),
        ("any_of: [{min_f1: 1}]", "expected a mapping of names to lists of requirements"),
        ("any_of: {g: {min_f1: 1}}", "found the unknown key 'min_f1', expected one of of, level."),
        ("any_of: {g: {level: warn}}", "found no of"),
        ("any_of: {g: []}", "found 0 branches, expected 1 to 20"),
        ("any_of: {g: [{}]}", "found a branch that asks for nothing"),
        ("any_of: {g: [{checks: []}]}", "found a branch that asks for nothing"),
        ("any_of: {g: [min_f1]}", "expected a mapping of requirements"),
        ("any_of: {'a b': [{min_f1: 1}]}", "a name of up to 64 letters"),
        ("any_of: {g: [{approval_required: true}]}", "cannot stand in a branch"),
        ("any_of: {g: [{alias: x}]}", "cannot stand in a branch"),
        ("any_of: {g: [{min_f1: {at_least: 0.5, level: warn}}]}", "found a level in a branch"),
        ("any_of: {g: [{checks: [{name: ci, level: warn}]}]}", "found a level in a branch"),
        ("any_of: {g: [{any_of: {h: {of: [{min_f1: 1}], level: warn}}}]}", "found a level in a branch"),
        ("any_of: {g: ~}", "expected a list of branches"),
        ("approval_required: {roles: [boss]}", "expected viewer, contributor, approver, operator or admin."),
        ("approval_required: {teams: [{}]}", "found neither role nor people"),
        ("approval_required: {teams: [{role: approver, people: [a]}]}", "found both role and people"),
        ("approval_required: {teams: [{people: [a], approvals: 2}]}", "found 1 people, expected at least 2"),
        ("approval_required: {teams: approver}", "expected a list of teams"),
        ("approval_required: {expires: soon}", "found 'soon'"),
        ("approval_required: {teams: [{people: bea}]}", "expected a list of names"),
        ("approval_required: {teams: [" + "{role: admin}, " * 11 + "]}", "found 11 teams, expected at most 10"),
    ],
)
def test_a_slip_is_named_on_its_line(requires: str, told: str) -> None:
    assert told in problem(requires)


def test_a_wrong_expression_is_named_on_its_own_line() -> None:
    rule = "rules:\n        - name: a\n          cel: |\n            metrics.x > 1\n            && &&\n"

    assert problem(rule, (Fault(2, "a name is missing after &&"),)) == (
        "8: stages.Production.requires.rules[0].cel: found an expression that is wrong,"
        " expected one that can be evaluated. a name is missing after &&"
    )
    assert problem("rules: [{name: a, cel: '&&'}]", (Fault(1, "no"),)).startswith("4: ")


class TestWhichKeyWon:
    TEXT = """
stages:
  Production:
    requires:
      staging_duration_hours: 12
      min_accuracy: 0.9
      validation_tests: [load_test]
governance:
  min_staging_duration_hours: 24
  required_approval: true
  required_tests: [performance]
models:
  "fraud-*":
    stages: {Production: {staging_duration_hours: 2, min_accuracy: 0.97}}
  "slow-*":
    stages: {Production: {staging_duration_hours: 3d, validation_tests: [], min_accuracy: ~}}
"""

    def told(self, model: str, gate: str) -> str:
        return str(parse_policy(self.TEXT).rules(model, Stage.PRODUCTION).origins.get(gate))

    def test_of_stage_and_governance_the_stricter_is_named_first(self) -> None:
        assert self.told("iris", "staging_duration_hours") == (
            "24 h from governance.min_staging_duration_hours (line 9)"
            " over 12 h from stages.Production.requires.staging_duration_hours (line 5)"
        )
        assert self.told("fraud-eu", "staging_duration_hours").startswith(
            "24 h from governance.min_staging_duration_hours (line 9)"
            " over 2 h from models.'fraud-*'.stages.Production.staging_duration_hours (line 14)"
        )
        assert self.told("slow-1", "staging_duration_hours").startswith(
            "3 d from models.'slow-*'.stages.Production.staging_duration_hours (line 16)"
        )

    def test_a_models_own_key_replaces_the_stages(self) -> None:
        assert self.told("fraud-eu", "min_accuracy") == (
            ">= 0.97 from models.'fraud-*'.stages.Production.min_accuracy (line 14)"
            " over >= 0.9 from stages.Production.requires.min_accuracy (line 6)"
        )
        assert self.told("slow-1", "min_accuracy") == "None"

    def test_what_only_governance_asks_for_comes_from_there(self) -> None:
        assert self.told("iris", "approval_required") == "1 approval from governance.required_approval (line 10)"
        assert self.told("iris", "latency_test") == "passed from governance.required_tests (line 11)"
        assert self.told("slow-1", "load_test") == "passed from governance.required_tests (line 11)"

    def test_a_stage_that_only_observes_an_approval_is_no_way_round_governance(self) -> None:
        stage = "stages: {Production: {approval_required: {level: observe, approvals: 2}}}"
        text = f"{stage}\ngovernance: {{required_approval: true}}"

        assert parse_policy(text).rules("iris", Stage.PRODUCTION).approval == ApprovalRule(approvals=2)

    def test_every_gate_of_a_file_has_an_origin_but_the_one_that_is_always_judged(self) -> None:
        policy = parse_policy(self.TEXT)
        for stage in (Stage.STAGING, Stage.PRODUCTION):
            origins = policy.rules("iris", stage).origins
            asked = {row.gate for row in explain(policy, "iris") if row.stage is stage}

            assert asked - set(origins) <= {"artifacts_pinned", "max_production_versions"}
            assert set(origins) <= asked

    def test_a_stage_the_file_does_not_speak_of_says_so(self) -> None:
        found = parse_policy(self.TEXT).rules("iris", Stage.STAGING).origins["min_accuracy"]

        assert str(found).startswith(">= 0.85 from the built-in policy.stages.Staging.requires.min_accuracy")
