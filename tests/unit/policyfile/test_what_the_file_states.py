"""Every key of the policy file, and what it means for the rules."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockgate.adapters.policyfile import digest_of, parse_policy
from lockgate.domain.grades import Grade
from lockgate.domain.policy import (
    ApprovalRule,
    EndpointRule,
    EngineKind,
    Environment,
    StageRules,
    Threshold,
    ValidationRule,
)
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Level

BARE = "stages: {Staging: {}, Production: {}}\n"


def production(text: str, model: str = "iris") -> StageRules:
    return parse_policy(text).rules(model, Stage.PRODUCTION)


def staging(text: str, model: str = "iris") -> StageRules:
    return parse_policy(text).rules(model, Stage.STAGING)


def test_a_file_enforces_unless_it_says_otherwise() -> None:
    assert parse_policy(BARE).level is Level.ENFORCE


@pytest.mark.parametrize("level", list(Level))
def test_a_file_sets_the_level(level: Level) -> None:
    assert parse_policy(f"{BARE}level: {level}").level is level


def test_the_digest_is_of_the_text_and_a_comment_changes_it() -> None:
    assert parse_policy(BARE).digest == digest_of(BARE)
    assert digest_of(BARE) != digest_of(BARE + "# reviewed\n")


def test_the_tutorials_requirements_are_read_as_they_are_written_there() -> None:
    text = """
stages:
  Staging:
    min_accuracy: 0.85
    validation_tests: [schema_test, inference_test]
    required_tags: [validation_status, team]
  Production:
    min_accuracy: 0.90
    previous_stage: Staging
    approval_required: true
    staging_duration_hours: 24
    validation_tests: [load_test, integration_test]
"""
    assert staging(text) == StageRules(
        alias="staging",
        metrics={"accuracy": Threshold(0.85)},
        validation_tests=("schema_test", "inference_test"),
        required_tags=("validation_status", "team"),
    )
    assert production(text) == StageRules(
        alias="production",
        metrics={"accuracy": Threshold(0.90)},
        previous_stage=Stage.STAGING,
        approval=ApprovalRule(),
        soak=timedelta(hours=24),
        validation_tests=("load_test", "integration_test"),
        max_versions=1,
    )


def test_requirements_below_requires_mean_the_same_as_directly_below_the_stage() -> None:
    below = "stages: {Production: {requires: {min_f1: 0.5, require_signature: true}}}"
    beside = "stages: {Production: {min_f1: 0.5, require_signature: true}}"

    assert production(below) == production(beside)
    assert production(below).require_signature


def test_a_stage_may_be_written_in_any_capitals() -> None:
    assert production("stages: {production: {min_f1: 0.5}}").metrics == {"f1": Threshold(0.5)}


def test_a_stage_the_file_does_not_speak_of_is_asked_what_the_built_in_policy_asks() -> None:
    builtin = parse_policy(None).rules("iris", Stage.STAGING)

    assert staging("stages: {Production: {}}") == builtin
    assert staging("level: enforce") == builtin


def test_a_stage_with_nothing_below_it_asks_for_nothing() -> None:
    assert staging(BARE) == StageRules(alias="staging")


def test_a_metric_may_have_a_grade_and_a_level_of_its_own() -> None:
    text = "stages: {Production: {min_r2: {at_least: -0.5, grade: measured, level: warn}}}"

    assert production(text).metrics == {"r2": Threshold(-0.5, Grade.MEASURED, Level.WARN)}


def test_an_approval_may_ask_for_more_than_one_person() -> None:
    text = """
stages:
  Production:
    approval_required: {approvals: 2, roles: [approver], not_the_requester: false, level: observe}
"""
    assert production(text).approval == ApprovalRule(2, ("approver",), False, Level.OBSERVE)


def test_an_approval_that_is_not_required_is_not_asked_for() -> None:
    assert production("stages: {Production: {approval_required: false}}").approval is None


@pytest.mark.parametrize(
    ("written", "length"),
    [
        ("24", timedelta(hours=24)),
        ("0.5", timedelta(minutes=30)),
        ("5s", timedelta(seconds=5)),
        ('"24h"', timedelta(hours=24)),
        ("0.5h", timedelta(minutes=30)),
        ("2d", timedelta(days=2)),
        ("0", None),
    ],
)
def test_time_in_staging_is_a_number_of_hours_or_has_a_unit(written: str, length: timedelta | None) -> None:
    assert production(f"stages: {{Production: {{staging_duration_hours: {written}}}}}").soak == length


def test_a_stage_has_an_alias_and_a_level_of_its_own() -> None:
    policy = parse_policy("stages: {Production: {alias: champion, level: warn}}")

    assert policy.rules("iris", Stage.PRODUCTION).alias == "champion"
    assert policy.level_for(policy.rules("iris", Stage.PRODUCTION)) is Level.WARN
    assert policy.stage_of_alias("iris", "champion") is Stage.PRODUCTION
    assert policy.stage_of_alias("iris", "production") is None


class TestGovernance:
    def test_one_production_version_is_the_limit_where_none_is_given(self) -> None:
        assert production(BARE).max_versions == 1
        assert not production(BARE).evict_oldest
        assert staging(BARE).max_versions is None

    def test_the_limit_and_who_leaves_are_productions(self) -> None:
        rules = production(BARE + "governance: {max_production_versions: 2, evict: oldest}")

        assert (rules.max_versions, rules.evict_oldest) == (2, True)

    @pytest.mark.parametrize(("stage", "governance"), [("1h", "24"), ("24h", "1")])
    def test_the_longer_time_in_staging_holds(self, stage: str, governance: str) -> None:
        text = f"""
stages: {{Production: {{staging_duration_hours: {stage}}}}}
governance: {{min_staging_duration_hours: {governance}}}
"""
        assert production(text).soak == timedelta(hours=24)

    def test_an_approval_is_needed_if_either_asks_for_it(self) -> None:
        both = "stages: {Production: {approval_required: false}}\ngovernance: {required_approval: true}"
        stricter = "stages: {Production: {approval_required: {approvals: 2}}}\ngovernance: {required_approval: false}"

        assert production(both).approval == ApprovalRule()
        assert production(stricter).approval == ApprovalRule(approvals=2)

    def test_the_tests_of_both_are_run_in_the_order_of_the_suite(self) -> None:
        text = (
            "stages: {Production: {validation_tests: [load_test]}}\ngovernance: {required_tests: [performance, unit]}"
        )

        assert production(text).validation_tests == ("schema_test", "inference_test", "latency_test", "load_test")

    def test_it_does_not_touch_staging(self) -> None:
        text = BARE + "governance: {min_staging_duration_hours: 1, required_approval: true, required_tests: [unit]}"

        assert staging(text) == StageRules(alias="staging")


class TestModels:
    TEXT = """
stages:
  Staging: {min_accuracy: 0.8}
  Production: {min_accuracy: 0.9, required_tags: [team], staging_duration_hours: 24}
governance: {min_staging_duration_hours: 2}
models:
  "fraud-*":
    level: observe
    stages:
      Production: {min_accuracy: 0.97, min_recall: 0.9, level: warn}
  "toy-*":
    stages:
      Production: {min_accuracy: null, required_tags: [], staging_duration_hours: null}
"""

    def test_an_override_replaces_what_it_names_and_nothing_else(self) -> None:
        rules = production(self.TEXT, "fraud-cards")

        assert rules.metrics == {"accuracy": Threshold(0.97), "recall": Threshold(0.9)}
        assert rules.required_tags == ("team",)
        assert production(self.TEXT, "iris").metrics == {"accuracy": Threshold(0.9)}

    def test_a_models_level_is_its_stages_level_unless_they_say_otherwise(self) -> None:
        policy = parse_policy(self.TEXT)

        assert policy.level_for(policy.rules("fraud-cards", Stage.STAGING)) is Level.OBSERVE
        assert policy.level_for(policy.rules("fraud-cards", Stage.PRODUCTION)) is Level.WARN

    def test_null_takes_a_requirement_away(self) -> None:
        rules = production(self.TEXT, "toy-iris")

        assert rules.metrics == {}
        assert rules.required_tags == ()

    def test_governance_is_a_floor_that_no_override_goes_under(self) -> None:
        assert production(self.TEXT, "toy-iris").soak == timedelta(hours=2)

    def test_a_stage_that_an_override_leaves_out_is_asked_what_every_model_is(self) -> None:
        assert staging(self.TEXT, "toy-iris").metrics == {"accuracy": Threshold(0.8)}

    def test_the_first_pattern_that_matches_wins(self) -> None:
        text = """
models:
  "fraud-eu": {stages: {Staging: {min_accuracy: 0.5}}}
  "fraud-*": {stages: {Production: {min_accuracy: 0.6}}}
"""
        assert staging(text, "fraud-eu").metrics == {"accuracy": Threshold(0.5)}
        assert production(text, "fraud-eu") == production(text, "iris")


class TestServing:
    def test_staging_and_production_are_served_where_nothing_is_said(self) -> None:
        assert parse_policy(BARE).environments == (
            Environment("staging", Stage.STAGING, 5001),
            Environment("production", Stage.PRODUCTION, 5002),
        )

    def test_the_callers_ports_are_taken_where_the_file_names_none(self) -> None:
        ports = {"staging": 0, "production": 7002}
        named = BARE + "environments: {staging: {stage: Staging, port: 6001}, production: {}}"

        assert [e.port for e in parse_policy(BARE, ports=ports).environments] == [0, 7002]
        assert [e.port for e in parse_policy(named, ports=ports).environments] == [6001, 7002]
        assert [e.port for e in parse_policy(None, ports=ports).environments] == [0, 7002]

    def test_an_environment_of_ones_own_name_takes_any_free_port(self) -> None:
        policy = parse_policy(BARE + "environments: {shadow: {stage: Staging}}")

        assert policy.environments == (Environment("shadow", Stage.STAGING, 0),)
        assert policy.environment_for(Stage.PRODUCTION) is None

    def test_every_model_is_served_where_nothing_is_said(self) -> None:
        assert parse_policy(BARE).endpoint_rule("iris") == EndpointRule()

    def test_endpoints_are_ruled_by_pattern(self) -> None:
        text = BARE + 'endpoints: {"big-*": {workers: 4, timeout: 2m}, "iris": {serve: off}, "toy": {serve: auto}}'
        policy = parse_policy(text)

        assert policy.endpoint_rule("big-one") == EndpointRule(workers=4, timeout=timedelta(minutes=2))
        assert not policy.endpoint_rule("iris").serve
        assert policy.endpoint_rule("toy").serve
        assert not policy.endpoint_rule("unnamed").serve

    def test_how_an_endpoint_serves_is_read(self) -> None:
        text = BARE + (
            "endpoints: {'*': {engine: onnx, park: 10m, park_memory: 512MiB, batch_wait: 2ms, log_predictions: 0.1, "
            "runtime: /opt/models/bin/python}}"
        )

        assert parse_policy(text).endpoint_rule("iris") == EndpointRule(
            engine=EngineKind.ONNX,
            park=timedelta(minutes=10),
            park_memory=512 * 2**20,
            batch_wait=timedelta(milliseconds=2),
            log_predictions=0.1,
            runtime="/opt/models/bin/python",
        )

    def test_limits_of_serving_are_read(self) -> None:
        policy = parse_policy(BARE + "max_endpoints: 3\nwarm_limit: 45s")

        assert (policy.max_endpoints, policy.warm_limit) == (3, timedelta(seconds=45))

    def test_the_way_validations_run_is_read(self) -> None:
        text = BARE + (
            "validation: {sample: rows.csv, time_limit: 5m, latency_limit: 2.5ms, on_registration: ['fraud-*']}"
        )
        policy = parse_policy(text)

        assert policy.validation == ValidationRule(
            "rows.csv", timedelta(minutes=5), timedelta(milliseconds=2.5), ("fraud-*",)
        )
        assert policy.names_for_registration("fraud-eu")
        assert not policy.names_for_registration("iris")
