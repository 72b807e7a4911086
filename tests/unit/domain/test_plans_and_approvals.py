"""What an approval signs, and which approvals count."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.approvals import ApprovalRequest, counting, stale
from lockgate.domain.evidence import ArtifactFacts, Evidence, Metric, Quarantine, plan_digest
from lockgate.domain.grades import Grade
from lockgate.domain.identity import Who
from lockgate.domain.policy import ApprovalRule
from lockgate.domain.stages import Stage
from lockgate.domain.validation import TestResult, ValidationState
from lockgate.domain.versions import VersionRef
from tests.unit.domain.cases import (
    ANN,
    BEA,
    CEM,
    EVIDENCE,
    NOW,
    PINNED,
    RULES,
    decision,
    examination,
    request,
    validation,
)

PLAN = plan_digest(EVIDENCE, RULES)


@pytest.mark.parametrize(
    "changed",
    [
        replace(EVIDENCE, ref=VersionRef("iris", 8)),
        replace(EVIDENCE, ref=VersionRef("fraud", 7)),
        replace(EVIDENCE, target=Stage.STAGING),
        replace(EVIDENCE, artifacts=ArtifactFacts("sha256:other")),
        replace(EVIDENCE, metrics={"accuracy": Metric(0.94, "run")}),
        replace(EVIDENCE, metrics={"accuracy": Metric(0.93, "run", Grade.MEASURED)}),
        replace(EVIDENCE, metrics={}),
        replace(EVIDENCE, tags={"team": "other"}),
        replace(EVIDENCE, tags={}),
        replace(EVIDENCE, validation=None),
        replace(EVIDENCE, validation=validation(ValidationState.FAILED, examination(failed=("load_test",)))),
        replace(EVIDENCE, validation=validation(found=examination(signature=False))),
        replace(EVIDENCE, validation=validation(found=examination(installed="1.7.0"))),
        replace(EVIDENCE, policy_digest="sha256:stricter"),
    ],
)
def test_the_plan_changes_with_all_that_an_approver_looked_at(changed: Evidence) -> None:
    assert plan_digest(changed, RULES) != PLAN


@pytest.mark.parametrize(
    "unchanged",
    [
        replace(EVIDENCE, now=NOW + timedelta(days=30)),
        replace(EVIDENCE, stage=Stage.NONE, stage_since=NOW),
        replace(EVIDENCE, request=request(decision(BEA, PLAN))),
        replace(EVIDENCE, quarantine=Quarantine(NOW, "bad")),
        replace(EVIDENCE, occupants=(VersionRef("iris", 1),), archive_existing=True),
        replace(EVIDENCE, metrics={"accuracy": Metric(0.93, "logged model"), "loss": Metric(3.0, "run")}),
        replace(EVIDENCE, tags={"team": "ml", "note": "seen"}),
        replace(EVIDENCE, validation=validation(ValidationState.FAILED, examination(failed=("latency_test",)))),
        replace(EVIDENCE, validation=replace(validation(found=examination()), id="val-2", asked_by=CEM)),
    ],
)
def test_the_plan_does_not_change_with_time_approvals_or_what_no_rule_reads(unchanged: Evidence) -> None:
    assert plan_digest(unchanged, RULES) == PLAN


def test_one_and_one_point_zero_are_one_value_of_a_metric() -> None:
    whole = replace(EVIDENCE, metrics={"accuracy": Metric(1, "run")})
    decimal = replace(EVIDENCE, metrics={"accuracy": Metric(1.0, "run")})

    assert plan_digest(whole, RULES) == plan_digest(decimal, RULES)


def test_measured_figures_of_a_test_do_not_change_the_plan() -> None:
    again = examination()
    again = replace(again, results=tuple(TestResult(r.name, r.passed, "again", {"ms": 3.4}) for r in again.results))

    assert plan_digest(replace(EVIDENCE, validation=validation(found=again)), RULES) == PLAN


def test_two_different_measurements_never_share_a_plan() -> None:
    almost = replace(EVIDENCE, metrics={"accuracy": Metric(0.9300000000000002, "run")})

    assert plan_digest(almost, RULES) != PLAN
    assert EVIDENCE.artifacts.digest == PINNED


NAMES = st.sampled_from(["ann", "bea", "cem", "dev"])
ANSWERS = st.lists(st.tuples(NAMES, st.booleans(), st.sampled_from([PLAN, "sha256:old"])), max_size=8)


@given(ANSWERS, st.booleans())
def test_approvals_count_once_a_person_of_this_plan_and_not_the_requester(
    answers: list[tuple[str, bool, str]], not_the_requester: bool
) -> None:
    asked = request(*(decision(Who(name), plan, approved=yes) for name, yes, plan in answers))
    good = counting(asked, ApprovalRule(not_the_requester=not_the_requester), PLAN)

    expected = {name for name, yes, plan in answers if yes and plan == PLAN} - ({"ann"} if not_the_requester else set())
    assert sorted(d.who.name for d in good) == sorted(expected)
    assert all(d.approved and d.plan_digest == PLAN for d in good)


def test_a_request_is_stale_when_somebody_approved_another_plan() -> None:
    def of(*plans: str) -> list[ApprovalRequest]:
        return [request(*(decision(BEA, plan) for plan in plans))]

    assert not stale([], PLAN)
    assert not stale(of(PLAN), PLAN)
    assert stale(of(PLAN, "sha256:old"), PLAN)
    assert not stale([request(decision(BEA, "sha256:old", approved=False))], PLAN)
    assert str(ANN) == "ann (unverified)"
    assert str(Who("ann", verified=True)) == "ann"
