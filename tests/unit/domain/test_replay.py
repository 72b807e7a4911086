"""A verdict judged again on its own evidence agrees, and a changed one is told gate by gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.domain.errors import BadInput
from lockgate.domain.evidence import Evidence, Metric, evidence_of
from lockgate.domain.policy import Policy, StageRules
from lockgate.domain.replay import judged_again, recalled
from lockgate.domain.rules import judge
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Level, Standing, Verdict
from tests.unit.domain.cases import EVIDENCE, REF, RULES
from tests.unit.domain.generated import EVIDENCE as ANY
from tests.unit.domain.generated import RULES as ANY_RULES


def policy(rules: StageRules, level: Level, digest: str) -> Policy:
    return Policy(digest, level, {Stage.STAGING: rules, Stage.PRODUCTION: rules}, ())


def entry(evidence: Evidence, verdict: Verdict, action: str, kind: str = "promote", **changes: Any) -> dict[str, Any]:
    """What the record says of the verdict, as advance.py writes it."""
    if action == "version:transitioned":
        gates = {gate.name: f"{gate.standing} ({gate.level})" for gate in verdict.gates}
    else:
        gates = {gate.name: f"{gate.standing}: {gate.because}" for gate in verdict.open}
    detail = {
        "kind": kind,
        "gates": gates,
        "evidence": evidence.digest,
        "policy": evidence.policy_digest,
        "verdict": verdict.standing.value,
        "would_be": verdict.would_be.value,
    }
    plain = {"action": action, "model": evidence.ref.model, "version": evidence.ref.version, "detail": detail}
    return {**plain, "after": evidence.target.value, **changes}


@given(ANY, ANY_RULES, st.sampled_from(Level), st.sampled_from(["version:transitioned", "promotion:refused"]))
def test_a_verdict_judged_again_agrees(evidence: Evidence, rules: StageRules, level: Level, action: str) -> None:
    verdict = judge(evidence, rules, level)
    kept = evidence_of(evidence.text, evidence.digest)

    again = judged_again(recalled(entry(evidence, verdict, action)), kept, policy(rules, level, evidence.policy_digest))

    assert again.differences == ()
    assert again.agrees
    assert again.now == verdict


def test_another_answer_is_told_with_what_it_was_and_is() -> None:
    verdict = judge(EVIDENCE, RULES, Level.ENFORCE)
    worse = replace(EVIDENCE, metrics={"accuracy": Metric(0.5, "run")})
    again = judged_again(
        recalled(entry(EVIDENCE, verdict, "version:transitioned")),
        worse,
        policy(RULES, Level.ENFORCE, EVIDENCE.policy_digest),
    )

    assert not again.agrees
    assert again.differences == (
        "min_accuracy: holds then, fails now: accuracy is 0.5, below 0.9",
        "the verdict: waits then, fails now; with every gate enforced waits then, fails now",
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 8}, "the evidence is of iris@7 to Production, the entry of iris@8 to Production"),
        ({"after": "Staging"}, "the evidence is of iris@7 to Production, the entry of iris@7 to Staging"),
    ],
)
def test_evidence_of_something_else_is_told(change: dict[str, Any], told: str) -> None:
    verdict = judge(EVIDENCE, RULES, Level.ENFORCE)
    then = recalled(entry(EVIDENCE, verdict, "version:transitioned", **change))

    again = judged_again(then, EVIDENCE, policy(RULES, Level.ENFORCE, EVIDENCE.policy_digest))

    assert again.differences == (told,)


def test_another_policy_is_told() -> None:
    verdict = judge(EVIDENCE, RULES, Level.ENFORCE)
    then = recalled(entry(EVIDENCE, verdict, "version:transitioned"))

    again = judged_again(then, EVIDENCE, policy(RULES, Level.ENFORCE, "sha256:another"))

    assert again.differences == (
        "the entry names the policy sha256:policy, the evidence sha256:policy,"
        " and it was judged again by sha256:another",
    )


def test_a_gate_that_is_there_no_more_or_was_not_there_is_told() -> None:
    verdict = judge(EVIDENCE, RULES, Level.ENFORCE)
    then = recalled(entry(EVIDENCE, verdict, "version:transitioned"))
    fewer = replace(RULES, metrics={}, max_versions=None)

    again = judged_again(then, EVIDENCE, policy(fewer, Level.ENFORCE, EVIDENCE.policy_digest))

    assert set(again.differences) == {
        "min_accuracy: holds then, not judged now",
        "max_production_versions: holds then, not judged now",
    }


def test_a_rollback_was_not_judged_and_is_not_judged_now() -> None:
    then = recalled(entry(EVIDENCE, Verdict(()), "promotion:done", kind="rollback"))
    again = judged_again(then, EVIDENCE, policy(RULES, Level.ENFORCE, EVIDENCE.policy_digest))

    assert again.agrees
    assert again.now.standing is Standing.HOLDS


@pytest.mark.parametrize(
    "plain",
    [
        {"action": "version:tagged", "detail": {"evidence": "sha256:x"}},
        {"action": "promotion:done", "detail": {}},
        {"action": "promotion:done", "detail": None},
    ],
)
def test_an_entry_that_tells_of_no_verdict_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="tells of no verdict"):
        recalled({"model": REF.model, "version": REF.version, "after": "Production", **plain})
