"""Each gate: what makes it hold, wait and fail, and the reason it gives."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.approvals import RequestState
from lockgate.domain.evidence import ArtifactFacts, Evidence, Metric, Quarantine, plan_digest
from lockgate.domain.grades import Grade
from lockgate.domain.identity import Who
from lockgate.domain.policy import ApprovalRule, StageRules, Threshold
from lockgate.domain.rules import judge, leavers
from lockgate.domain.stages import Stage
from lockgate.domain.validation import ValidationState
from lockgate.domain.verdict import Gate, Level, Standing, Verdict
from lockgate.domain.versions import VersionRef
from tests.unit.domain.cases import (
    ANN,
    BEA,
    CEM,
    EVIDENCE,
    NOW,
    PINNED,
    REF,
    RULES,
    decision,
    examination,
    request,
    validation,
)

HOLDS, WAITS, FAILS = Standing.HOLDS, Standing.WAITS, Standing.FAILS


def approved(evidence: Evidence = EVIDENCE, rules: StageRules = RULES, *who: Who) -> Evidence:
    """The evidence with approvals of exactly this plan."""
    plan = plan_digest(evidence, rules)
    return replace(evidence, request=request(*(decision(one, plan) for one in who or (BEA,))))


def gate(name: str, evidence: Evidence, rules: StageRules = RULES) -> Gate:
    (found,) = [gate for gate in judge(evidence, rules, Level.ENFORCE).gates if gate.name == name]
    return found


def told(name: str, evidence: Evidence, rules: StageRules = RULES) -> tuple[Standing, str]:
    found = gate(name, evidence, rules)
    return found.standing, found.because


def test_a_version_that_meets_everything_holds_at_every_gate() -> None:
    verdict = judge(approved(), RULES, Level.ENFORCE)

    assert [gate.name for gate in verdict.gates] == [
        "artifacts_pinned",
        "previous_stage",
        "min_accuracy",
        "required_tags",
        "runtime_matches",
        "schema_test",
        "load_test",
        "require_signature",
        "staging_duration_hours",
        "approval_required",
        "max_production_versions",
    ]
    assert {gate.standing for gate in verdict.gates} == {HOLDS}
    assert verdict.standing is HOLDS


@pytest.mark.parametrize("target", [Stage.NONE, Stage.ARCHIVED])
def test_leaving_a_stage_has_no_gates_whatever_is_wrong(target: Stage) -> None:
    hopeless = replace(EVIDENCE, target=target, artifacts=ArtifactFacts(PINNED, ("changed MLmodel",)), metrics={})

    assert judge(hopeless, RULES, Level.ENFORCE) == Verdict(())
    assert judge(hopeless, RULES, Level.ENFORCE).standing is HOLDS


def test_one_reading_shows_everything_that_is_missing() -> None:
    nothing = replace(EVIDENCE, stage=Stage.NONE, artifacts=ArtifactFacts(None), metrics={}, tags={}, validation=None)
    verdict = judge(nothing, RULES, Level.ENFORCE)

    assert [gate.name for gate in verdict.open] == [gate.name for gate in verdict.gates][:-1]
    assert verdict.standing is FAILS
    assert all(gate.because for gate in verdict.open)
    assert all(gate.next for gate in verdict.open)


class TestLevels:
    def test_observed_gates_are_judged_and_bind_nothing(self) -> None:
        verdict = judge(replace(EVIDENCE, metrics={}), RULES, Level.OBSERVE)

        assert verdict.standing is HOLDS
        assert verdict.would_be is FAILS
        assert verdict.binding == ()
        assert {gate.level for gate in verdict.gates} == {Level.OBSERVE}

    def test_a_rules_own_level_counts_for_it_alone(self) -> None:
        rules = replace(
            RULES,
            metrics={"accuracy": Threshold(0.9, level=Level.WARN)},
            approval=ApprovalRule(level=Level.OBSERVE),
        )
        verdict = judge(replace(EVIDENCE, metrics={}), rules, Level.ENFORCE)

        assert {gate.name for gate in verdict.open} == {"min_accuracy", "approval_required"}
        assert verdict.standing is HOLDS

    def test_changed_artifacts_bind_at_every_level(self) -> None:
        changed = replace(EVIDENCE, artifacts=ArtifactFacts(PINNED, ("changed model.pkl",)))

        assert judge(changed, RULES, Level.OBSERVE).standing is FAILS

    def test_a_failure_outweighs_a_wait(self) -> None:
        waiting = replace(EVIDENCE, validation=None)

        assert judge(approved(waiting), RULES, Level.ENFORCE).standing is WAITS
        assert judge(approved(replace(waiting, tags={})), RULES, Level.ENFORCE).standing is FAILS

    def test_a_verdict_is_read_back_as_it_was_stored(self) -> None:
        verdict = judge(replace(EVIDENCE, metrics={}), RULES, Level.WARN)

        assert Verdict.from_plain(verdict.as_plain()) == verdict


@pytest.mark.parametrize(
    ("facts", "standing", "because"),
    [
        (ArtifactFacts(PINNED), HOLDS, "every file is as it was pinned"),
        (ArtifactFacts(None), WAITS, "the artifacts have not been read yet"),
        (ArtifactFacts(None, unreadable="no such folder"), FAILS, "no such folder"),
        (
            ArtifactFacts(PINNED, ("changed a", "added b")),
            FAILS,
            "the artifacts are no longer what was pinned: changed a, added b",
        ),
    ],
)
def test_artifacts_are_pinned(facts: ArtifactFacts, standing: Standing, because: str) -> None:
    assert told("artifacts_pinned", replace(EVIDENCE, artifacts=facts)) == (standing, because)


@pytest.mark.parametrize(
    ("stage", "standing", "because"),
    [
        (Stage.STAGING, HOLDS, "it is in Staging"),
        (Stage.PRODUCTION, HOLDS, "it is in Production"),
        (Stage.NONE, FAILS, "it is in stage None and must be in Staging first"),
        (Stage.ARCHIVED, FAILS, "it is in stage Archived and must be in Staging first"),
    ],
)
def test_a_version_comes_from_the_stage_before(stage: Stage, standing: Standing, because: str) -> None:
    assert told("previous_stage", replace(EVIDENCE, stage=stage)) == (standing, because)


class TestMetrics:
    @pytest.mark.parametrize(
        ("value", "standing", "because"),
        [
            (0.93, HOLDS, "accuracy is 0.93"),
            (0.9, HOLDS, "accuracy is 0.9"),
            (0.88, FAILS, "accuracy is 0.88, below 0.9"),
            (0.89999999, FAILS, "accuracy is 0.89999999, below 0.9"),
            (math.nan, FAILS, "the metric accuracy is NaN"),
            (-math.inf, FAILS, "accuracy is -inf, below 0.9"),
        ],
    )
    def test_a_metric_reaches_its_threshold(self, value: float, standing: Standing, because: str) -> None:
        evidence = replace(EVIDENCE, metrics={"accuracy": Metric(value, "run")})

        assert told("min_accuracy", evidence) == (standing, because)

    def test_an_absent_metric_fails(self) -> None:
        assert told("min_accuracy", replace(EVIDENCE, metrics={})) == (FAILS, "the metric accuracy is absent")

    def test_a_claim_is_no_measurement(self) -> None:
        rules = replace(RULES, metrics={"accuracy": Threshold(0.9, Grade.MEASURED)})
        measured = replace(EVIDENCE, metrics={"accuracy": Metric(0.93, "validation", Grade.MEASURED, NOW, PINNED)})

        assert gate("min_accuracy", EVIDENCE, rules).standing is FAILS
        assert "claimed by a client" in gate("min_accuracy", EVIDENCE, rules).because
        assert gate("min_accuracy", measured, rules).standing is HOLDS

    @given(value=st.floats(), least=st.floats(allow_nan=False, allow_infinity=False))
    def test_a_metric_holds_exactly_from_its_threshold_up_and_the_reason_shows_it(
        self, value: float, least: float
    ) -> None:
        rules = replace(RULES, metrics={"m": Threshold(least)})
        found = gate("min_m", replace(EVIDENCE, metrics={"m": Metric(value, "run")}), rules)

        assert (found.standing is HOLDS) == (value >= least)
        if value < least:
            assert float(found.because.split(" is ")[1].split(",")[0]) < least


@pytest.mark.parametrize("tags", [{}, {"team": ""}, {"Team": "ml"}])
def test_a_tag_that_is_missing_or_empty_fails(tags: dict[str, str]) -> None:
    found = gate("required_tags", replace(EVIDENCE, tags=tags))

    assert (found.standing, found.because) == (FAILS, "missing: team")
    assert found.next == "client.set_model_version_tag('iris', '7', 'team', …)"


class TestValidations:
    @pytest.mark.parametrize(
        ("found", "standing", "because"),
        [
            (None, WAITS, "it has not been validated"),
            (validation(ValidationState.QUEUED), WAITS, "validation val-1 is queued"),
            (validation(ValidationState.RUNNING), WAITS, "validation val-1 is running"),
            (validation(found=examination()), HOLDS, "load_test was run"),
            (validation(ValidationState.FAILED, examination(failed=("load_test",))), FAILS, "load_test was run"),
            (validation(ValidationState.FAILED, examination(failed=("latency_test",))), HOLDS, "load_test was run"),
            (validation(ValidationState.ERROR, because="no room on the disk"), FAILS, "no room on the disk"),
            (validation(ValidationState.ERROR), FAILS, "the validation could not be run"),
            (
                validation(found=replace(examination(), results=examination().results[:1])),
                WAITS,
                "the last validation did not include it",
            ),
            (
                validation(found=examination(), digest="sha256:other"),
                WAITS,
                "validation val-1 looked at other artifacts than those pinned now",
            ),
        ],
    )
    def test_a_test_passed_on_the_pinned_files(self, found: Any, standing: Standing, because: str) -> None:
        assert told("load_test", replace(EVIDENCE, validation=found)) == (standing, because)

    def test_a_pass_without_a_digest_counts_for_no_files(self) -> None:
        assert (
            gate("load_test", replace(EVIDENCE, validation=validation(found=examination(), digest=None))).standing
            is WAITS
        )

    @pytest.mark.parametrize(
        ("found", "standing", "because"),
        [
            (None, WAITS, "no validation has looked at its libraries yet"),
            (validation(ValidationState.QUEUED), WAITS, "no validation has looked at its libraries yet"),
            (validation(found=examination()), HOLDS, "the same library versions are installed here"),
            (
                validation(found=examination(installed="1.7.0")),
                FAILS,
                "scikit-learn 1.5.2 when logged, 1.7.0 here",
            ),
            (validation(found=examination(installed=None)), FAILS, "not installed here: scikit-learn==1.5.2"),
            (
                validation(ValidationState.ERROR, because="it was killed"),
                FAILS,
                "validation val-1 could not read the model's files: it was killed",
            ),
            (
                validation(found=examination(), digest="sha256:other"),
                WAITS,
                "no validation has looked at its libraries yet",
            ),
        ],
    )
    def test_the_libraries_are_those_it_was_logged_with(self, found: Any, standing: Standing, because: str) -> None:
        assert told("runtime_matches", replace(EVIDENCE, validation=found)) == (standing, because)

    def test_a_missing_library_comes_with_the_command_that_installs_it(self) -> None:
        missing = replace(EVIDENCE, validation=validation(found=examination(installed=None)))

        assert gate("runtime_matches", missing).next == "pip install 'scikit-learn==1.5.2'"

    def test_libraries_are_not_judged_where_nobody_asks_for_a_validation(self) -> None:
        rules = replace(RULES, validation_tests=())

        names = [gate.name for gate in judge(replace(EVIDENCE, validation=None), rules, Level.ENFORCE).gates]
        assert "runtime_matches" not in names

    @pytest.mark.parametrize(
        ("found", "standing", "because"),
        [
            (None, WAITS, "no validation has looked for a signature yet"),
            (validation(found=examination()), HOLDS, "it has a signature"),
            (validation(found=examination(signature=False)), FAILS, "it has no signature"),
        ],
    )
    def test_a_signature_is_there(self, found: Any, standing: Standing, because: str) -> None:
        assert told("require_signature", replace(EVIDENCE, validation=found)) == (standing, because)


class TestTimeInStaging:
    @pytest.mark.parametrize(
        ("spent", "standing", "because"),
        [
            (timedelta(hours=24), HOLDS, "in Staging for 24 h"),
            (timedelta(hours=3), WAITS, "in Staging for 3 h, 21 h to go"),
            (timedelta(seconds=-5), WAITS, "in Staging for 0 s, 24 h to go"),
        ],
    )
    def test_it_waits_until_the_time_has_passed(self, spent: timedelta, standing: Standing, because: str) -> None:
        assert told("staging_duration_hours", replace(EVIDENCE, stage_since=NOW - spent)) == (standing, because)

    @pytest.mark.parametrize("stage", [Stage.NONE, Stage.ARCHIVED])
    def test_time_elsewhere_does_not_count(self, stage: Stage) -> None:
        found = told("staging_duration_hours", replace(EVIDENCE, stage=stage))

        assert found == (FAILS, f"it is in stage {stage}, so no time in Staging counts")

    def test_a_version_in_production_already_need_not_wait_again(self) -> None:
        again = replace(EVIDENCE, stage=Stage.PRODUCTION, stage_since=NOW)

        assert gate("staging_duration_hours", again).standing is HOLDS


class TestApprovals:
    def test_it_holds_with_the_approval_of_this_very_plan(self) -> None:
        assert told("approval_required", approved()) == (HOLDS, "approved by bea (unverified)")

    def test_it_waits_until_somebody_asks(self) -> None:
        found = gate("approval_required", EVIDENCE)

        assert (found.standing, found.because) == (WAITS, "nobody has asked for approval")
        assert found.next == "lockgate request iris@7 --reason …"

    def test_it_waits_until_somebody_answers(self) -> None:
        found = gate("approval_required", replace(EVIDENCE, request=request()))

        assert (found.standing, found.because) == (WAITS, "0 of 1 approval, asked for by ann (unverified)")
        assert found.next == "lockgate approve iris@7 --comment …"

    def test_the_requesters_own_yes_does_not_count(self) -> None:
        found = told("approval_required", approved(EVIDENCE, RULES, ANN))

        assert found == (WAITS, "0 of 1 approval, asked for by ann (unverified), whose own does not count")

    def test_the_requesters_own_yes_counts_where_the_policy_says_so(self) -> None:
        rules = replace(RULES, approval=ApprovalRule(not_the_requester=False))

        assert gate("approval_required", approved(EVIDENCE, rules, ANN), rules).standing is HOLDS

    def test_two_approvals_are_two_people(self) -> None:
        rules = replace(RULES, approval=ApprovalRule(approvals=2))

        once = told("approval_required", approved(EVIDENCE, rules, BEA, BEA), rules)
        assert once == (WAITS, "1 of 2 approvals, asked for by ann (unverified)")
        assert gate("approval_required", approved(EVIDENCE, rules, BEA, CEM), rules).standing is HOLDS

    def test_an_approval_of_another_plan_is_stale(self) -> None:
        later = replace(approved(), policy_digest="sha256:changed")
        standing, because = told("approval_required", later)

        assert standing is WAITS
        assert "stale" in because

    def test_one_no_outweighs_every_yes(self) -> None:
        plan = plan_digest(EVIDENCE, RULES)
        answers = (
            decision(BEA, plan),
            decision(CEM, plan, approved=False, comment="recall is low"),
            decision(BEA, plan),
        )

        for state in (RequestState.REJECTED, RequestState.PENDING):
            found = told("approval_required", replace(EVIDENCE, request=request(*answers, state=state)))
            assert found == (FAILS, "rejected by cem (unverified): recall is low")

    def test_a_rejection_without_its_answer_is_still_a_rejection(self) -> None:
        rejected = replace(EVIDENCE, request=request(state=RequestState.REJECTED))

        assert told("approval_required", rejected) == (FAILS, "rejected")

    def test_roles_cannot_be_met_while_nobody_has_one(self) -> None:
        rules = replace(RULES, approval=ApprovalRule(roles=("lead",)))

        assert gate("approval_required", approved(EVIDENCE, rules), rules).standing is FAILS


class TestQuarantine:
    ROLLED_BACK = replace(EVIDENCE, quarantine=Quarantine(NOW - timedelta(hours=1), "wrong answers"))

    def after(self, *answers: Any, **given: Any) -> Evidence:
        return replace(self.ROLLED_BACK, request=request(*answers, **given))

    @property
    def plan(self) -> str:
        return plan_digest(self.ROLLED_BACK, RULES)

    def test_it_waits_for_an_approval_given_after_the_rollback(self) -> None:
        assert told("not_quarantined", self.ROLLED_BACK) == (
            WAITS,
            "it was rolled back at 2026-05-01 11:00:00 UTC: wrong answers",
        )
        assert gate("not_quarantined", self.after(decision(BEA, self.plan))).standing is HOLDS

    def test_an_older_approval_does_not_lift_it(self) -> None:
        before = self.after(decision(BEA, self.plan, at=NOW - timedelta(hours=2)))

        assert gate("not_quarantined", before).standing is WAITS
        assert gate("approval_required", before).standing is HOLDS

    def test_the_requesters_own_approval_does_not_lift_it(self) -> None:
        assert gate("not_quarantined", self.after(decision(ANN, self.plan))).standing is WAITS

    def test_an_approval_of_another_plan_does_not_lift_it(self) -> None:
        assert gate("not_quarantined", self.after(decision(BEA, "sha256:other"))).standing is WAITS

    def test_an_approval_beside_a_rejection_does_not_lift_it(self) -> None:
        both = self.after(decision(BEA, self.plan), decision(CEM, self.plan, approved=False))

        assert gate("not_quarantined", both).standing is WAITS

    def test_it_is_lifted_where_the_policy_asks_for_no_approval_too(self) -> None:
        rules = replace(RULES, approval=None)
        evidence = self.after(decision(BEA, plan_digest(self.ROLLED_BACK, rules)))

        assert gate("not_quarantined", evidence, rules).standing is HOLDS

    def test_the_next_command_is_to_ask_and_then_to_approve(self) -> None:
        assert gate("not_quarantined", self.ROLLED_BACK).next == "lockgate request iris@7 --reason …"
        assert gate("not_quarantined", self.after()).next == "lockgate approve iris@7 --comment …"
        assert (
            gate("not_quarantined", self.after(at=NOW - timedelta(hours=2))).next
            == "lockgate request iris@7 --reason …"
        )


class TestTheLimit:
    OTHERS = tuple(VersionRef("iris", number) for number in (3, 5, 6))

    def test_it_refuses_and_names_who_would_have_to_leave(self) -> None:
        full = replace(EVIDENCE, occupants=self.OTHERS)

        assert told("max_production_versions", full, replace(RULES, max_versions=2)) == (
            FAILS,
            "Production holds 3 already; iris@3, iris@5 would have to leave",
        )

    def test_it_holds_while_there_is_room(self) -> None:
        roomy = replace(EVIDENCE, occupants=self.OTHERS)

        assert told("max_production_versions", roomy, replace(RULES, max_versions=4)) == (HOLDS, "4 of 4 with this one")

    def test_archiving_makes_everybody_else_leave(self) -> None:
        archiving = replace(EVIDENCE, occupants=self.OTHERS, archive_existing=True)

        assert leavers(archiving, RULES) == self.OTHERS
        assert gate("max_production_versions", archiving).standing is HOLDS

    @pytest.mark.parametrize("target", [Stage.NONE, Stage.ARCHIVED])
    def test_nobody_leaves_a_stage_that_has_no_gates(self, target: Stage) -> None:
        leaving = replace(EVIDENCE, target=target, occupants=self.OTHERS, archive_existing=True)

        assert leavers(leaving, RULES) == ()

    @given(occupants=st.integers(0, 12), limit=st.integers(1, 12))
    def test_evicting_makes_just_enough_of_the_oldest_leave(self, occupants: int, limit: int) -> None:
        rules = replace(RULES, max_versions=limit, evict_oldest=True)
        others = tuple(VersionRef("iris", number + 100) for number in range(occupants))
        evidence = replace(EVIDENCE, occupants=others)
        leaving = leavers(evidence, rules)

        assert leaving == others[: len(leaving)]
        assert len(others) - len(leaving) + 1 == min(limit, len(others) + 1)
        assert gate("max_production_versions", evidence, rules).standing is HOLDS

    def test_a_stage_without_a_limit_is_never_full(self) -> None:
        rules = replace(RULES, max_versions=None)
        evidence = replace(EVIDENCE, occupants=self.OTHERS)

        assert leavers(evidence, rules) == ()
        assert "max_production_versions" not in [gate.name for gate in judge(evidence, rules, Level.ENFORCE).gates]


def test_a_gate_names_the_version_it_speaks_of() -> None:
    assert str(REF) in gate("approval_required", EVIDENCE).next


def test_the_next_command_says_which_stage_unless_it_is_production() -> None:
    assert gate("approval_required", replace(EVIDENCE, target=Stage.STAGING)).next == (
        "lockgate request iris@7 --to staging --reason …"
    )


def test_rules_that_ask_for_nothing_still_ask_for_pinned_artifacts() -> None:
    verdict = judge(replace(EVIDENCE, validation=None), StageRules("production"), Level.ENFORCE)

    assert [gate.name for gate in verdict.gates] == ["artifacts_pinned"]
