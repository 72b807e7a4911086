"""The gates on metrics: bounds, grades, ages, what was measured on which files, and the champion."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.evidence import Champion, Evidence, Metric
from lockgate.domain.grades import Grade
from lockgate.domain.policy import Ceiling, Comparison, Direction, StageRules, Threshold
from lockgate.domain.rules import judge
from lockgate.domain.validation import ValidationState
from lockgate.domain.verdict import Gate, Level, Standing
from lockgate.domain.versions import VersionRef
from tests.unit.domain.cases import EVIDENCE, NOW, PINNED, REF, validation

HOLDS, WAITS, FAILS = Standing.HOLDS, Standing.WAITS, Standing.FAILS
BARE = StageRules("production")
OTHER = "sha256:" + "b" * 64
HIGHER, LOWER = Direction.HIGHER, Direction.LOWER


def gate(evidence: Evidence, rules: StageRules, name: str) -> Gate:
    (found,) = [each for each in judge(evidence, rules, Level.ENFORCE).gates if each.name == name]
    return found


def minimum(metric: Metric | None, rule: Threshold) -> Gate:
    evidence = replace(EVIDENCE, metrics={"f1": metric} if metric else {})
    return gate(evidence, replace(BARE, metrics={"f1": rule}), "min_f1")


def maximum(metric: Metric | None, rule: Ceiling) -> Gate:
    evidence = replace(EVIDENCE, metrics={"loss": metric} if metric else {})
    return gate(evidence, replace(BARE, ceilings={"loss": rule}), "max_loss")


class TestALargestValue:
    @pytest.mark.parametrize(
        ("value", "standing", "because"),
        [
            (0.2, HOLDS, "loss is 0.2"),
            (0.3, HOLDS, "loss is 0.3"),
            (0.31, FAILS, "loss is 0.31, above 0.3"),
            (0.30000000001, FAILS, "loss is 0.30000000001, above 0.3"),
            (math.inf, FAILS, "loss is inf, above 0.3"),
            (math.nan, FAILS, "the metric loss is NaN"),
        ],
    )
    def test_a_metric_stays_under_it(self, value: float, standing: Standing, because: str) -> None:
        found = maximum(Metric(value, "run"), Ceiling(0.3))

        assert (found.standing, found.because) == (standing, because)

    def test_an_absent_metric_fails(self) -> None:
        assert maximum(None, Ceiling(0.3)).standing is FAILS

    @given(value=st.floats(), most=st.floats(allow_nan=False, allow_infinity=False))
    def test_it_holds_exactly_up_to_it(self, value: float, most: float) -> None:
        assert (maximum(Metric(value, "run"), Ceiling(most)).standing is HOLDS) == (value <= most)


def test_an_absent_metric_is_told_with_those_that_are_there() -> None:
    rules = replace(BARE, metrics={"f1": Threshold(0.9)})
    many = {name: Metric(1.0, "run") for name in "abcdefg"}

    assert gate(replace(EVIDENCE, metrics=many), rules, "min_f1").because == (
        "the metric f1 is absent; there are a, b, c, d, e and 2 more"
    )


class TestGrades:
    @pytest.mark.parametrize("asked", list(Grade))
    @pytest.mark.parametrize("has", list(Grade))
    def test_a_grade_holds_for_itself_and_what_asks_for_less(self, has: Grade, asked: Grade) -> None:
        found = minimum(Metric(0.95, "run", has, NOW, PINNED), Threshold(0.9, asked))

        assert (found.standing is HOLDS) == (has.rank >= asked.rank)

    @pytest.mark.parametrize("asked", [Grade.ATTESTED, Grade.MEASURED])
    def test_more_than_a_claim_is_bound_to_artifacts(self, asked: Grade) -> None:
        found = minimum(Metric(0.95, "run", Grade.MEASURED, NOW, None), Threshold(0.9, asked))

        assert (found.standing, found.because) == (FAILS, "nobody knows of which artifacts f1 was measured")

    def test_what_was_measured_on_other_files_counts_for_nothing_even_as_a_claim(self) -> None:
        found = minimum(Metric(0.95, "run", Grade.MEASURED, NOW, OTHER), Threshold(0.9))

        assert found.because == "f1 was measured of other artifacts than those pinned now"
        assert found.standing is FAILS

    def test_a_claim_says_what_to_do_about_it(self) -> None:
        found = minimum(Metric(0.95, "run"), Threshold(0.9, Grade.ATTESTED))

        assert found.because == "f1 was claimed by a client and the policy asks for an attested value"
        assert found.required == ">= 0.9 (attested)"
        assert found.next


class TestAges:
    RULE = Threshold(0.9, max_age=timedelta(days=30))

    @pytest.mark.parametrize(
        ("ago", "standing"),
        [
            (timedelta(0), HOLDS),
            (timedelta(days=30), HOLDS),
            (timedelta(days=30, microseconds=1), FAILS),
            (timedelta(seconds=-60), HOLDS),  # two clocks differ by so much
            (timedelta(seconds=-61), FAILS),
        ],
    )
    def test_a_metric_is_as_old_as_the_policy_allows_and_not_from_the_future(
        self, ago: timedelta, standing: Standing
    ) -> None:
        assert minimum(Metric(0.95, "run", at=NOW - ago), self.RULE).standing is standing

    def test_the_reason_says_how_old_it_is_and_may_be(self) -> None:
        found = minimum(Metric(0.95, "run", at=NOW - timedelta(days=40)), self.RULE)

        assert found.because == "f1 was logged 40 d ago, and may be 30 d old"
        assert found.required == ">= 0.9 (at most 30 d old)"

    def test_a_time_that_nobody_knows_fails(self) -> None:
        assert "nobody knows" in minimum(Metric(0.95, "run"), self.RULE).because

    def test_a_clock_that_was_set_back_is_told(self) -> None:
        found = minimum(Metric(0.95, "run", at=NOW + timedelta(days=2)), self.RULE)

        assert "2 d from now: a clock was wrong, or was set back" in found.because

    def test_where_no_age_is_asked_for_the_time_does_not_count(self) -> None:
        assert minimum(Metric(0.95, "run", at=NOW + timedelta(days=999)), Threshold(0.9)).standing is HOLDS


class TestFigures:
    RULES = replace(BARE, ceilings={"latency_test.p95_ms": Ceiling(20, Grade.MEASURED)})
    GATE = "max_latency_test.p95_ms"

    @pytest.mark.parametrize("known", [None, validation(ValidationState.RUNNING)])
    def test_what_a_validation_will_measure_is_waited_for(self, known: object) -> None:
        found = gate(replace(EVIDENCE, metrics={}, validation=known), self.RULES, self.GATE)  # type: ignore[arg-type]

        assert found.standing is WAITS
        assert found.next == "lockgate validate iris@7"

    def test_what_it_did_not_measure_fails(self) -> None:
        assert gate(replace(EVIDENCE, metrics={}), self.RULES, self.GATE).standing is FAILS

    def test_a_claim_under_its_name_is_still_a_claim(self) -> None:
        claimed = replace(EVIDENCE, metrics={"latency_test.p95_ms": Metric(1.0, "run")})

        assert gate(claimed, self.RULES, self.GATE).standing is FAILS


def against(ours: float, theirs: float | None, rule: Comparison, *, number: int = 3) -> Gate:
    metrics = {} if theirs is None else {"f1": Metric(theirs, "run", Grade.MEASURED, NOW, OTHER)}
    champion = Champion(VersionRef("iris", number), metrics, OTHER)
    evidence = replace(EVIDENCE, metrics={"f1": Metric(ours, "run", Grade.MEASURED, NOW, PINNED)}, champion=champion)
    return gate(evidence, replace(BARE, champion={"f1": rule}), "champion:f1")


class TestTheChampion:
    @pytest.mark.parametrize(
        ("ours", "theirs", "rule", "standing"),
        [
            (0.92, 0.92, Comparison(HIGHER), HOLDS),
            (0.91, 0.92, Comparison(HIGHER), FAILS),
            (0.91, 0.92, Comparison(HIGHER, 0.01), HOLDS),
            (0.7, 0.8, Comparison(HIGHER, 0.1), HOLDS),  # 0.8 - 0.1 is a little more than 0.7 in binary
            (0.9108, 0.92, Comparison(HIGHER, relative=0.01), HOLDS),
            (0.9107, 0.92, Comparison(HIGHER, relative=0.01), FAILS),
            (-1.01, -1.0, Comparison(HIGHER, relative=0.01), HOLDS),
            (-1.02, -1.0, Comparison(HIGHER, relative=0.01), FAILS),
            (3.1, 3.0, Comparison(LOWER), FAILS),
            (2.9, 3.0, Comparison(LOWER), HOLDS),
            (3.1, 3.0, Comparison(LOWER, 0.1), HOLDS),
            (3.2, 3.0, Comparison(LOWER, 0.1, 0.01), FAILS),
            (0.0, 0.0, Comparison(LOWER, relative=0.5), HOLDS),
            (math.inf, 0.9, Comparison(HIGHER), HOLDS),
            (-math.inf, 0.9, Comparison(HIGHER, 5), FAILS),
            (0.9, math.nan, Comparison(HIGHER), FAILS),
            (0.9, math.inf, Comparison(LOWER), FAILS),
            (0.9, None, Comparison(HIGHER), FAILS),
            (math.nan, 0.9, Comparison(HIGHER), FAILS),
        ],
    )
    def test_a_newcomer_is_as_good_or_worse_by_the_tolerance(
        self, ours: float, theirs: float | None, rule: Comparison, standing: Standing
    ) -> None:
        assert against(ours, theirs, rule).standing is standing

    def test_the_reason_says_both_values_and_whose_they_are(self) -> None:
        found = against(0.9, 0.92, Comparison(HIGHER, 0.01))

        assert found.because == "f1 is 0.9, below 0.91: iris@3 has 0.92"
        assert found.required == "as high as the champion's, or 0.01 less"

    def test_a_missing_metric_of_the_champion_is_told_as_its(self) -> None:
        assert against(0.9, None, Comparison(HIGHER)).because == "the champion iris@3 has no f1"

    @pytest.mark.parametrize("standing", list(Standing))
    def test_without_a_champion_the_policy_says_what_it_is(self, standing: Standing) -> None:
        rules = replace(BARE, champion={"f1": Comparison(HIGHER, if_no_champion=standing)})
        found = gate(replace(EVIDENCE, metrics={}), rules, "champion:f1")

        assert found.standing is standing
        assert found.because == "there is no champion to compare it with"

    def test_nobody_is_held_against_themselves(self) -> None:
        assert against(0.1, 0.9, Comparison(HIGHER), number=REF.version).standing is HOLDS

    def test_both_sides_need_the_grade(self) -> None:
        rule = replace(BARE, champion={"f1": Comparison(HIGHER, grade=Grade.MEASURED)})
        measured = Metric(0.95, "run", Grade.MEASURED, NOW, PINNED)
        champion = Champion(VersionRef("iris", 3), {"f1": Metric(0.9, "run")}, OTHER)
        found = gate(replace(EVIDENCE, metrics={"f1": measured}, champion=champion), rule, "champion:f1")

        assert (
            found.because
            == "of the champion iris@3: f1 was claimed by a client and the policy asks for a measured value"
        )
        assert gate(
            replace(EVIDENCE, metrics={"f1": Metric(0.95, "run")}, champion=champion), rule, "champion:f1"
        ).because.startswith("f1 was claimed")
