"""Every way a policy file can be wrong: the line, the keys that lead there, what stands there and what was expected."""

from __future__ import annotations

import pytest

from lockgate.adapters.policyfile import PolicyFileError, parse_policy
from lockgate.domain.errors import BadInput
from lockgate.domain.stages import Stage


def errors(text: str) -> list[str]:
    with pytest.raises(PolicyFileError) as caught:
        parse_policy(text)
    return caught.value.message.splitlines()


def error(text: str) -> str:
    (only,) = errors(text)
    return only


def production(requires: str) -> str:
    return f"stages:\n  Production:\n    requires:\n      {requires}\n"


def test_an_error_says_file_line_keys_what_was_found_and_what_was_expected() -> None:
    assert error(production("min_accuracy: high")) == (
        "lockgate.yaml:4: stages.Production.requires.min_accuracy: found 'high', expected a number from 0 to 1."
    )


def test_an_error_is_bad_input_in_the_words_of_everyone_else() -> None:
    with pytest.raises(BadInput) as caught:
        parse_policy("level: 7", name="team/policy.yaml")

    assert str(caught.value) == (
        "team/policy.yaml:1: level: found 7, expected observe, warn or enforce.\n"
        "Nothing was changed. Correct the file and try again."
    )


def test_all_problems_are_told_at_once_in_the_order_of_their_lines() -> None:
    told = errors("""\
warm_limit: soon
max_endpoints: 0
stages:
  Staging:
    min_accuracy: high
  Production:
    previous_stage: Produktion
level: enforced
""")

    assert [line.split(":")[1] for line in told] == ["1", "2", "5", "7", "8"]


@pytest.mark.parametrize(
    ("requires", "told"),
    [
        ("previous_stag: Staging", "Did you mean previous_stage?"),
        ("required_tag: [team]", "Did you mean required_tags?"),
        ("max_production_versions: 1", "It belongs under governance."),
        ("min_staging_duration_hours: 1", "Under a stage it is called staging_duration_hours."),
        ("min_acuracy: 0.9", "Did you mean min_accuracy?"),
        ("min_accuracy: 85", "found 85, expected a number from 0 to 1."),
        ("min_loss: .nan", "found .nan, expected a number."),
        ("min_loss: .inf", "expected a number."),
        ("min_loss: 1:30", "expected a number."),
        ("min_loss: 010", "expected a number."),
        ("min_loss: '0.9'", "expected a number. Without quotes."),
        ("min_loss: true", "found true, expected a number."),
        ("min_loss: ~", "found nothing, expected a number."),
        ("min_loss: [1]", "found a list, expected a number."),
        ("min_loss: {}", "found no at_least"),
        ("min_loss: {at_least: 1, grade: gold}", "expected claimed, attested or measured."),
        ("min_loss: {at_least: 1, atleast: 1}", "Did you mean at_least?"),
        ("min_: 1", "min_ and the name of a metric"),
        ("validation_tests: [smoke_test]", "schema_test, inference_test, latency_test, load_test or integration_test"),
        ("validation_tests: [performance]", "here write latency_test, load_test."),
        ("validation_tests: load_test", "Write ['load_test']."),
        ("validation_tests: [load_test, load_test]", "found 'load_test' a second time"),
        ("required_tags: [yes]", "found yes, expected a text (tag names). Quote it."),
        ("required_tags: [1]", "Quote it."),
        ("required_tags: ['']", "found '', expected a text"),
        ('required_tags: ["\\ud800"]', "expected a text"),
        ("previous_stage: Production", "A stage does not precede itself."),
        ("previous_stage: Archived", "Nothing comes forward from Archived."),
        ("staging_duration_hours: -1", "expected a number of hours"),
        ("staging_duration_hours: 5 parsecs", "found '5 parsecs'"),
        ("staging_duration_hours: 9999d", "expected a length of time from 0 s to 366 d"),
        ("staging_duration_hours: .inf", "expected a number of hours"),
        ("staging_duration_hours: ~", "expected a number of hours"),
        ("require_signature: 'true'", "expected true or false. Without quotes."),
        ("approval_required: 1", "expected true, false or a mapping"),
        ("approval_required: {approvals: 11}", "a whole number from 1 to 10"),
        ("approval_required: {approvals: 0}", "a whole number from 1 to 10"),
        ("approval_required: {approvals: 1.5}", "a whole number from 1 to 10"),
        ("approval_required: {approver: 1}", "found the unknown key 'approver'"),
        ("approval_required: {roles: approver}", "a list of roles"),
    ],
)
def test_a_wrong_requirement_is_named_on_its_line(requires: str, told: str) -> None:
    found = error(production(requires))

    assert found.startswith("lockgate.yaml:4: stages.Production.requires.")
    assert told in found


def test_a_metric_that_looks_like_a_slip_is_taken_when_it_is_written_out() -> None:
    policy = parse_policy(production("min_acuracy: {at_least: 0.9}"))

    assert list(policy.rules("iris", Stage.PRODUCTION).metrics) == ["acuracy"]


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("stage: {}", 1, "Did you mean stages?"),
        ("Staging: {}", 1, "It belongs below stages."),
        ("required_approval: true", 1, "It belongs below governance."),
        ("previous_stage: Staging", 1, "It belongs below a stage"),
        ("stages:\n  Stagging: {}", 2, "Did you mean Staging?"),
        ("stages:\n  Archived: {}", 2, "no gates stand there"),
        ("stages:\n  Staging: {}\n  staging: {}", 3, "a second time (first on line 2)"),
        ("stages:\n  Production:", 2, "found nothing, expected a mapping"),
        ("stages:\n  Production:\n    requires:", 3, "found nothing, expected a mapping"),
        ("stages:\n  Production:\n    alias: latest", 3, "MLflow would not take it"),
        ("stages:\n  Production:\n    alias: v2", 3, "MLflow would not take it"),
        ("stages:\n  Production:\n    alias: a b", 3, "MLflow would not take it"),
        ("stages:\n  Staging: {previous_stage: Staging}", 2, "A stage does not precede itself."),
        ("stages:\n  Staging: {staging_duration_hours: 1}", 2, "It is the time a version spends in Staging first."),
        ("stages:\n  Staging:\n    alias: production", 2, "the alias 'production' for Staging and for Production"),
        ("stages:\n  Staging:\n    min_f1: 1\n    requires: {min_f1: 1}", 3, "found min_f1 beside requires: and in it"),
        ("governance: {max_production_versions: 0}", 1, "a whole number from 1 to 1000"),
        ("governance: {required_tests: [unit, load_test]}", 1, "name it under validation_tests"),
        ("governance: {evict: newest}", 1, "expected oldest"),
        ("governance: {staging_duration_hours: 1}", 1, "it is called min_staging_duration_hours"),
        ("governance: []", 1, "expected a mapping"),
        ('models:\n  "a*": {min_accuracy: 1}', 2, "found the unknown key 'min_accuracy'"),
        ('models:\n  "a*":\n    stages: {Production: {alias: staging}}', 3, "the alias 'staging'"),
        ("environments:\n  staging: {stage: Canary}", 2, "expected Staging or Production"),
        ("environments:\n  blue: {port: 1}", 2, "found no stage"),
        ("environments:\n  staging: {port: 65536}", 2, "a whole number from 0 to 65535"),
        ("environments:\n  staging: {}\n  other: {stage: Staging}", 3, "which staging serves already"),
        ("environments:\n  staging: {port: 9}\n  production: {port: 9}", 3, "port 9, which is staging's"),
        ("environments:\n  'a/b': {stage: Staging}", 2, "a name of small letters"),
        ('endpoints: {"*": {serve: always}}', 1, "expected auto or off"),
        ('endpoints: {"*": {serve: true}}', 1, "expected auto or off"),
        ('endpoints: {"*": {workers: 65}}', 1, "a whole number from 1 to 64"),
        ('endpoints: {"*": {timeout: 60}}', 1, "a length of time"),
        ('endpoints: {"*": {engine: fast}}', 1, "expected pyfunc, native or onnx"),
        ('endpoints: {"*": {park: 8d}}', 1, "from 0 s to 7 d"),
        ('endpoints: {"*": {park_memory: much}}', 1, "a size"),
        ('endpoints: {"*": {log_predictions: 2}}', 1, "a share of the predictions, 0 to 1"),
        ('endpoints: {"*": {runtime: venv/bin/python}}', 1, "an absolute path, like /opt/models/bin/python"),
        ("max_endpoints: many", 1, "a whole number from 1 to 1000"),
        ("warm_limit: 2h", 1, "from 1 s to 1 h"),
        ("validation: {sample: 7}", 1, "the path of a file"),
        ("validation: {time_limit: 0s}", 1, "from 1 s to 1 h"),
        ("validation: {latency_limit: 10}", 1, "a length of time"),
        ("validation: {on_registration: fraud}", 1, "a list of model names"),
    ],
)
def test_a_wrong_key_or_value_is_named_on_its_line(text: str, line: int, told: str) -> None:
    found = error(text)

    assert found.startswith(f"lockgate.yaml:{line}: ")
    assert told in found


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("", 1, "found an empty file"),
        ("# nothing yet\n", 1, "found an empty file"),
        ("just a text", 1, "expected a mapping"),
        ("- a\n- b", 1, "expected a mapping"),
        ("level: enforce\nlevel: observe", 2, "a second time (first on line 1)"),
        ("level: enforce\n7: x", 2, "keys that are text"),
        ("? [a]\n: b", 1, "keys that are text"),
        ("on: b", 1, "keys that are text"),
        ("level: enforce\n---\nlevel: observe", 2, "a second document"),
        ("level: &l enforce", 1, "the anchor &l"),
        ("level: !!python/object/apply:os.system [id]", 1, "the tag tag:yaml.org,2002:python"),
        ("level: [enforce", 1, "expected ',' or ']'"),
        ("stages:\n\tStaging: {}", 2, "Indent with spaces."),
        ("level: 'enforce", 1, "expected YAML"),
        ('level: "\\UFFFFFFFF"', 1, "expected YAML"),
        ("level: enforce\nname: \x07", 2, "Remove the control character."),
        ("[" * 17 + "]" * 17, 1, "levels of nesting"),
        ("[" * 100_000, 1, "levels of nesting"),
        ("stages: {" + ",".join(f"k{i}: 1" for i in range(11_000)) + "}", 1, "more than 20,000 keys and values"),
        ("# " + "x" * 262_144, 1, "at most 262,144 bytes"),
    ],
)
def test_what_is_not_a_policy_at_all_is_refused_with_its_line(text: str, line: int, told: str) -> None:
    found = errors(text)[0]

    assert found.startswith(f"lockgate.yaml:{line}: ")
    assert told in found


def test_a_bomb_of_aliases_is_refused_before_it_expands() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )

    assert "no anchors and aliases" in errors(bomb)[0]


def test_a_problem_that_every_model_shares_is_told_once() -> None:
    text = 'stages: {Production: {alias: staging}}\nmodels: {"a*": {level: warn}, "b*": {level: warn}}'

    assert len(errors(text)) == 1


def test_a_value_too_long_to_read_is_shortened() -> None:
    assert len(error(f"level: {'x' * 10_000}")) < 200
