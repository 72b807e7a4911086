"""The gates on tags, checks and custom rules, groups of branches, and how old a validation may be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lockgate.domain.checks import Check
from lockgate.domain.evidence import CustomResult, Evidence
from lockgate.domain.policy import Combined, CustomRule, Group, RequiredCheck, StageRules, Threshold
from lockgate.domain.rules import is_fresh, judge, waits_for_validation
from lockgate.domain.validation import ValidationState
from lockgate.domain.verdict import Gate, Level, Standing
from tests.unit.domain.cases import ANN, BEA, EVIDENCE, NOW, PINNED, examination, validation

HOLDS, WAITS, FAILS = Standing.HOLDS, Standing.WAITS, Standing.FAILS
BARE = StageRules("production")
OTHER = "sha256:" + "b" * 64


def gate(name: str, evidence: Evidence, rules: StageRules) -> Gate:
    (found,) = [each for each in judge(evidence, rules, Level.ENFORCE).gates if each.name == name]
    return found


class TestWantedValues:
    RULES = replace(BARE, required_tags=("team", "risk"), tag_values={"risk": ("low", "medium")})

    @pytest.mark.parametrize(
        ("tags", "standing", "because"),
        [
            ({"team": "ml", "risk": "low"}, HOLDS, "every required tag is set"),
            ({"team": "ml", "risk": "medium"}, HOLDS, "every required tag is set"),
            ({"team": "ml", "risk": "high"}, FAILS, "risk is 'high', not 'low' or 'medium'"),
            ({"team": "ml", "risk": "LOW"}, FAILS, "risk is 'LOW', not 'low' or 'medium'"),
            ({"team": "ml", "risk": "lo\nw"}, FAILS, "risk is 'lo\\nw', not 'low' or 'medium'"),
            ({"risk": "high"}, FAILS, "missing: team; risk is 'high', not 'low' or 'medium'"),
        ],
    )
    def test_a_tag_has_one_of_them(self, tags: dict[str, str], standing: Standing, because: str) -> None:
        found = gate("required_tags", replace(EVIDENCE, tags=tags), self.RULES)

        assert (found.standing, found.because) == (standing, because)

    def test_the_next_command_sets_a_value_that_is_wanted(self) -> None:
        found = gate("required_tags", replace(EVIDENCE, tags={"team": "ml"}), self.RULES)

        assert found.next == "client.set_model_version_tag('iris', '7', 'risk', 'low')"
        assert found.required == "team, risk: 'low' or 'medium'"


def checked(passed: bool = True, ago: timedelta = timedelta(), digest: str = PINNED, url: str = "") -> Check:
    return Check("ci", passed, BEA, NOW - ago, digest, url)


class TestChecks:
    RULES = replace(BARE, checks=(RequiredCheck("ci", timedelta(days=7)),))

    @pytest.mark.parametrize(
        ("given", "standing", "because"),
        [
            ((), WAITS, "nobody has reported it"),
            ((checked(),), HOLDS, "bea (unverified) reported that it passed"),
            ((checked(passed=False),), FAILS, "bea (unverified) reported that it failed"),
            ((checked(digest=OTHER),), WAITS, "it was reported of other artifacts than those pinned now"),
            ((checked(ago=timedelta(days=8)),), WAITS, "it was reported 8 d ago, and may be 7 d old"),
            ((checked(passed=False, ago=timedelta(days=8)),), FAILS, "bea (unverified) reported that it failed"),
            (
                (checked(ago=timedelta(days=2)), checked(passed=False)),
                FAILS,
                "bea (unverified) reported that it failed",
            ),
            (
                (checked(passed=False), checked(ago=timedelta(days=2))),
                FAILS,
                "bea (unverified) reported that it failed",
            ),
        ],
    )
    def test_the_newest_report_on_these_files_counts(
        self, given: tuple[Check, ...], standing: Standing, because: str
    ) -> None:
        found = gate("check:ci", replace(EVIDENCE, checks=given), self.RULES)

        assert (found.standing, found.because) == (standing, because)

    def test_a_report_from_the_future_fails(self) -> None:
        found = gate("check:ci", replace(EVIDENCE, checks=(checked(ago=timedelta(hours=-2)),)), self.RULES)

        assert found.standing is FAILS
        assert "a clock was wrong" in found.because

    def test_another_check_does_not_stand_for_it(self) -> None:
        other = Check("ci2", True, ANN, NOW, PINNED)

        assert gate("check:ci", replace(EVIDENCE, checks=(other,)), self.RULES).standing is WAITS

    def test_a_failure_says_where_to_look(self) -> None:
        found = gate("check:ci", replace(EVIDENCE, checks=(checked(False, url="https://ci/1"),)), self.RULES)

        assert found.next == "Look at https://ci/1, and report it again when it is right."


class TestCustomRules:
    RULES = replace(BARE, custom=(CustomRule("small", "metrics.loss\n  < 0.3"),))

    @pytest.mark.parametrize(
        ("result", "standing", "because"),
        [
            (CustomResult(True, "it is true"), HOLDS, "it is true"),
            (CustomResult(False, "it is false"), FAILS, "it is false"),
            (None, FAILS, "it was not evaluated"),
        ],
    )
    def test_anything_but_true_is_a_no(self, result: CustomResult | None, standing: Standing, because: str) -> None:
        evidence = replace(EVIDENCE, custom={"small": result} if result else {})
        found = gate("rule:small", evidence, self.RULES)

        assert (found.standing, found.because) == (standing, because)
        assert found.required == "metrics.loss < 0.3"

    def test_the_answer_of_one_rule_is_not_another_ones(self) -> None:
        evidence = replace(EVIDENCE, custom={"other": CustomResult(True, "it is true")})

        assert gate("rule:small", evidence, self.RULES).standing is FAILS


class TestGroups:
    GOOD = StageRules("", metrics={"accuracy": Threshold(0.9)})
    BETTER = StageRules("", metrics={"accuracy": Threshold(0.95)})
    REVIEWED = StageRules("", checks=(RequiredCheck("ci"),))

    def told(self, how: Combined, *branches: StageRules, evidence: Evidence = EVIDENCE) -> Gate:
        return gate(f"{how}:g", evidence, replace(BARE, groups=(Group("g", how, branches),)))

    def test_one_branch_is_enough_for_any_of(self) -> None:
        found = self.told(Combined.ANY_OF, self.BETTER, self.GOOD)

        assert (found.standing, found.because) == (HOLDS, "branch 2 holds: accuracy is 0.93")
        assert found.seen == "branch 1 fails, branch 2 holds"

    def test_every_branch_is_needed_for_all_of(self) -> None:
        assert self.told(Combined.ALL_OF, self.GOOD, self.GOOD).because == "every branch holds"
        assert self.told(Combined.ALL_OF, self.GOOD, self.BETTER).standing is FAILS
        assert self.told(Combined.ALL_OF, self.GOOD, self.REVIEWED).standing is WAITS

    def test_a_branch_that_waits_is_nearer_than_one_that_fails(self) -> None:
        found = self.told(Combined.ANY_OF, self.BETTER, self.REVIEWED)

        assert found.standing is WAITS
        assert found.because == (
            "branch 1: min_accuracy fails: accuracy is 0.93, below 0.95"
            " | branch 2: check:ci waits: nobody has reported it"
        )
        assert found.next == "lockgate check report iris 7 ci --pass --url …"

    def test_a_branch_needs_all_that_it_asks_for(self) -> None:
        both = replace(self.GOOD, checks=self.REVIEWED.checks)

        assert self.told(Combined.ANY_OF, both).standing is WAITS
        reviewed = replace(EVIDENCE, checks=(checked(),))
        assert self.told(Combined.ANY_OF, both, evidence=reviewed).standing is HOLDS

    @pytest.mark.parametrize("how", list(Combined))
    def test_what_asks_for_nothing_holds_nothing(self, how: Combined) -> None:
        assert self.told(how).standing is FAILS
        assert self.told(how, BARE).standing is FAILS

    def test_groups_stand_in_branches_too(self) -> None:
        inner = StageRules("", groups=(Group("inner", Combined.ANY_OF, (self.BETTER, self.GOOD)),))

        assert self.told(Combined.ALL_OF, inner).standing is HOLDS

    def test_a_group_has_one_level(self) -> None:
        rules = replace(BARE, groups=(Group("g", Combined.ALL_OF, (self.BETTER,), Level.WARN),))
        verdict = judge(EVIDENCE, rules, Level.ENFORCE)

        assert verdict.standing is HOLDS
        assert verdict.would_be is FAILS


class TestHowOldAValidationMayBe:
    RULES = replace(
        BARE, validation_tests=("load_test",), require_signature=True, validation_max_age=timedelta(days=30)
    )

    def at(self, ago: timedelta | None) -> Evidence:
        ended = None if ago is None else NOW - ago
        return replace(EVIDENCE, validation=replace(validation(found=examination()), finished_at=ended))

    @pytest.mark.parametrize("name", ["load_test", "runtime_matches", "require_signature"])
    @pytest.mark.parametrize(
        ("ago", "standing"),
        [
            (timedelta(days=30), HOLDS),
            (timedelta(days=31), WAITS),
            (timedelta(hours=-2), FAILS),
            (None, FAILS),
        ],
    )
    def test_one_that_is_too_old_waits_for_another(self, name: str, ago: timedelta | None, standing: Standing) -> None:
        assert gate(name, self.at(ago), self.RULES).standing is standing

    def test_the_reason_says_how_old_it_is(self) -> None:
        found = gate("load_test", self.at(timedelta(days=31)), self.RULES)

        assert found.because == "validation val-1 ended 31 d ago, and may be 30 d old"
        assert found.required == "passed in the last 30 d"
        assert found.next == "lockgate validate iris@7"

    def test_a_move_runs_one_when_it_waits_for_nothing_else_but_that(self) -> None:
        old, fresh = self.at(timedelta(days=31)), self.at(timedelta(days=1))

        assert not is_fresh(old, self.RULES)
        assert waits_for_validation(old, self.RULES, judge(old, self.RULES, Level.ENFORCE))
        assert is_fresh(fresh, self.RULES)
        assert not waits_for_validation(fresh, self.RULES, judge(fresh, self.RULES, Level.ENFORCE))

    def test_where_the_tests_only_observe_nothing_waits_for_them(self) -> None:
        missing = replace(EVIDENCE, validation=None)

        assert not waits_for_validation(missing, self.RULES, judge(missing, self.RULES, Level.OBSERVE))

    def test_a_test_in_a_branch_is_run_too(self) -> None:
        branch = StageRules("", validation_tests=("load_test",))
        rules = replace(BARE, groups=(Group("g", Combined.ANY_OF, (branch,)),))
        missing = replace(EVIDENCE, validation=None)

        assert waits_for_validation(missing, rules, judge(missing, rules, Level.ENFORCE))

    @pytest.mark.parametrize("state", [ValidationState.QUEUED, ValidationState.RUNNING])
    def test_one_that_is_on_its_way_is_not_there_yet(self, state: ValidationState) -> None:
        assert not is_fresh(replace(EVIDENCE, validation=validation(state)), self.RULES)


def test_a_version_that_entered_staging_in_the_future_fails_and_says_so() -> None:
    rules = replace(BARE, soak=timedelta(hours=1))
    found = gate("staging_duration_hours", replace(EVIDENCE, stage_since=NOW + timedelta(hours=5)), rules)

    assert found.standing is FAILS
    assert "which is 5 h from now: a clock was wrong, or was set back" in found.because
