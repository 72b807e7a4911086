"""The built-in policy, the starter file, and what `lockgate policy check` says of them."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from lockgate.adapters.policyfile import builtin_text, digest_of, explain, parse_policy, starter_text
from lockgate.domain.policy import ApprovalRule
from lockgate.domain.stages import Stage
from lockgate.domain.validation import SUITE
from lockgate.domain.verdict import Level

ROOT = Path(__file__).resolve().parents[3]


def test_without_a_file_the_built_in_policy_is_observed() -> None:
    policy = parse_policy(None)

    assert policy.level is Level.OBSERVE
    assert policy.digest == digest_of(builtin_text())
    assert policy == parse_policy(builtin_text())


def test_the_built_in_policy_is_the_tutorials() -> None:
    policy = parse_policy(None)
    staging, production = policy.rules("iris", Stage.STAGING), policy.rules("iris", Stage.PRODUCTION)

    assert staging.metrics["accuracy"].at_least == 0.85
    assert staging.validation_tests == ("schema_test", "inference_test")
    assert staging.required_tags == ("validation_status", "team")
    assert production.metrics["accuracy"].at_least == 0.90
    assert production.previous_stage is Stage.STAGING
    assert production.approval == ApprovalRule()
    assert production.soak == timedelta(hours=24)
    assert production.validation_tests == SUITE
    assert production.max_versions == 1


def test_the_starter_enforces_and_holds_only_gates_that_this_release_can_satisfy() -> None:
    policy = parse_policy(starter_text())

    assert policy.level is Level.ENFORCE
    for stage in (Stage.STAGING, Stage.PRODUCTION):
        rules = policy.rules("iris", stage)
        assert rules.metrics
        assert all(threshold.grade == "claimed" for threshold in rules.metrics.values())
        assert rules.approval is None or rules.approval.roles == ()


def test_what_the_starter_comments_out_works_when_it_is_taken_in() -> None:
    # a comment that is YAML has its # at the start of the line and a key or a deeper line behind it
    shown = re.compile(
        r"^(?P<indent> *)# (?P<line>(?: |models:|environments:|endpoints:|validation:|evict:).*)$", re.MULTILINE
    )
    text = starter_text()
    head, body = text.split("level: enforce", 1)

    policy = parse_policy(head + "level: enforce" + shown.sub(r"\g<indent>\g<line>", body))

    assert policy.models[0][0] == "fraud-*"
    assert policy.rules("fraud-eu", Stage.PRODUCTION).soak == timedelta(days=2)
    assert policy.rules("iris", Stage.PRODUCTION).evict_oldest
    assert policy.validation.on_registration == ("fraud-*",)


def test_explaining_names_every_gate_in_the_order_in_which_it_is_judged() -> None:
    asked = [(row.stage, row.gate, row.requirement, row.level) for row in explain(parse_policy(starter_text()), "iris")]

    assert asked[0] == (
        Stage.STAGING,
        "artifacts_pinned",
        "every file is readable, and as it was pinned",
        Level.ENFORCE,
    )
    assert (Stage.STAGING, "min_accuracy", ">= 0.85", Level.ENFORCE) in asked
    assert asked[-3:] == [
        (Stage.PRODUCTION, "staging_duration_hours", "24 h in Staging", Level.ENFORCE),
        (Stage.PRODUCTION, "approval_required", "1 approval, not the requester", Level.ENFORCE),
        (Stage.PRODUCTION, "max_production_versions", "at most 1 in Production", Level.ENFORCE),
    ]


def test_the_built_in_policy_is_the_one_that_earlier_verdicts_name() -> None:
    # It has no row: verdicts under it are judged again by its digest. Whoever changes a letter of it keeps the old text
    # where `Policies.of_digest` finds it, and adds the new digest here.
    assert parse_policy(None).digest == "sha256:32183279abe12fa8f16ef1206d14d00fa417512f2dc10e6dd064f47b56410eec"


def test_what_the_starter_offers_can_be_taken() -> None:
    offered = re.sub(r"(?m)^      # (max_|champion|checks|any_of|rules)", r"      \1", starter_text())
    asked = {row.gate for row in explain(parse_policy(offered), "iris") if row.stage is Stage.PRODUCTION}

    assert {
        "max_rmse",
        "max_latency_test.p95_ms",
        "champion:f1_score",
        "check:ci/bias-audit",
        "any_of:good_or_seen",
        "rule:small",
    } <= asked


def test_explaining_shows_a_rules_own_level_and_all_it_asks() -> None:
    text = """
level: observe
stages:
  Production:
    requires:
      min_r2: {at_least: 0.5, grade: measured, level: enforce}
      approval_required: {approvals: 2, roles: [approver], not_the_requester: false, level: warn}
      require_signature: true
governance: {max_production_versions: 2, evict: oldest}
"""
    rows = {row.gate: row for row in explain(parse_policy(text), "iris") if row.stage is Stage.PRODUCTION}

    assert (rows["min_r2"].requirement, rows["min_r2"].level) == (">= 0.5 (measured)", Level.ENFORCE)
    assert (rows["approval_required"].requirement, rows["approval_required"].level) == (
        "2 approvals from approver",
        Level.WARN,
    )
    assert (rows["require_signature"].requirement, rows["require_signature"].level) == ("a signature", Level.OBSERVE)
    assert rows["max_production_versions"].requirement == "at most 2 in Production, the oldest leaves"


def examples() -> list[str]:
    page = (ROOT / "docs" / "reference" / "policy.md").read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)


@pytest.mark.parametrize("example", examples())
def test_every_example_of_the_reference_is_a_policy(example: str) -> None:
    assert parse_policy(example).digest == digest_of(example)
