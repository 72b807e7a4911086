"""What the sandbox believes of the process in which somebody's model runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.adapters.sandbox.answers import Answers
from lockgate.adapters.sandbox.program import how_it_ended
from lockgate.domain.validation import LATENCY, SCHEMA, ExamineRequest, Library
from lockgate.domain.versions import VersionRef

REQUEST = ExamineRequest(VersionRef("fraud", 7), "/model", tests=(SCHEMA, LATENCY))


def line(**event: Any) -> bytes:
    return json.dumps(event).encode() + b"\n"


def result(name: str = SCHEMA, **more: Any) -> bytes:
    told = {"event": "result", "name": name, "passed": True, "because": "fine", "measured": {}, "warnings": []}
    return line(**(told | more))


def test_results_come_in_the_order_of_the_request_however_the_bytes_are_cut() -> None:
    answers = Answers(REQUEST)
    told = result(LATENCY, measured={"p95_ms": 1.5}) + result(SCHEMA, warnings=["no signature"]) + line(event="done")

    for byte in told:
        answers.feed(bytes([byte]))

    assert answers.done
    first, second = answers.results("unused")
    assert (first.name, first.passed, first.warnings) == (SCHEMA, True, ("no signature",))
    assert (second.name, dict(second.measured)) == (LATENCY, {"p95_ms": 1.5})


def test_facts_may_be_corrected_and_the_phase_is_the_last_one_told() -> None:
    answers = Answers(REQUEST)
    told = {"event": "facts", "has_signature": True, "libraries": [{"name": "x", "logged": "1", "installed": None}]}

    answers.feed(
        line(event="doing", phase="loading the model") + line(**told, inputs=None) + line(**told, inputs="sample")
    )

    assert answers.phase == "loading the model"
    assert answers.facts is not None
    assert answers.facts.inputs == "sample"
    assert answers.facts.libraries == (Library("x", "1", None),)


def test_a_test_without_a_result_fails_with_the_reason_and_a_finished_one_is_spared() -> None:
    answers = Answers(REQUEST)
    answers.feed(result(SCHEMA))

    spared = answers.results("it crashed")
    nothing_spared = answers.results("it took too long", spare_the_finished=False)

    assert [(it.passed, it.because) for it in spared] == [(True, "fine"), (False, "it crashed")]
    assert [it.because for it in nothing_spared] == ["it took too long"] * 2


def test_a_test_that_failed_keeps_its_own_reason_when_time_runs_out() -> None:
    answers = Answers(REQUEST)
    answers.feed(result(SCHEMA, passed=False, because="no signature"))

    assert answers.results("it took too long", spare_the_finished=False)[0].because == "no signature"


@pytest.mark.parametrize(
    "forged",
    [
        b"Traceback (most recent call last):\n",
        b"[]\n",
        b"{}\n",
        b"\xff\xfe\n",
        line(event="pass everything"),
        result("a_test_nobody_asked_for"),
        result(SCHEMA, passed="yes"),
        result(SCHEMA, because=None),
        result(SCHEMA, measured=[1]),
        result(SCHEMA) + result(SCHEMA, passed=False),
        b"[" * 100_000 + b"\n",
    ],
)
def test_an_answer_of_any_other_shape_ends_the_belief(forged: bytes) -> None:
    answers = Answers(REQUEST)

    answers.feed(forged + result(LATENCY))

    assert "something that is no result" in answers.broken
    assert not any(it.passed for it in answers.results(answers.broken) if it.name == LATENCY)


def test_numbers_that_are_none_are_dropped_and_long_texts_are_cut() -> None:
    answers = Answers(REQUEST)

    answers.feed(result(SCHEMA, because="x" * 5000, measured={"a": float("nan"), "b": float("inf"), "c": "3", "d": 4}))

    (found, _) = answers.results("unused")
    assert dict(found.measured) == {"d": 4.0}
    assert len(found.because) == 2000


def test_an_endless_answer_is_cut_off() -> None:
    answers = Answers(REQUEST)

    answers.feed(b"x" * (1024 * 1024 + 1))

    assert answers.broken == "the examination answered more than 1 MiB"


@given(st.binary(max_size=300))
def test_no_bytes_whatever_raise_or_pass_a_test(noise: bytes) -> None:
    answers = Answers(REQUEST)

    answers.feed(noise + b"\n")

    assert not any(it.passed for it in answers.results("nothing"))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (3, "exit code 3"),
        (-11, "signal 11 (SIGSEGV)"),
        (-9, "signal 9 (SIGKILL, as it is when the machine has no memory left)"),
        (-63, "signal 63 (unknown)"),
    ],
)
def test_the_end_of_a_process_is_told_in_words(code: int, told: str) -> None:
    assert how_it_ended(code) == told
