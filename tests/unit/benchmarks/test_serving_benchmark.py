"""The serving benchmark counts what is wrong, and its page tells what was lost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks.serving import report
from benchmarks.serving.asking import PROTOCOLS, Protocol
from benchmarks.serving.cells import CONNECTIONS, Cell, cells
from benchmarks.serving.content import LOGISTIC
from benchmarks.serving.load import Order, Result, Run, compared
from benchmarks.serving.runner import STATIC, Outcome, Plan, Started
from benchmarks.serving.sides import NATIVE, STOCK

PLAN = Plan(1, 1, cells("logistic, 1 row"), (NATIVE, STOCK, "FastAPI + uvicorn"))
ORDER = Order("plain", LOGISTIC, 1, 1, 8, 1.0, tuple([0] if n % 2 else [1] for n in range(16)))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    # the rows themselves come from scikit-learn, which a unit test does without
    monkeypatch.setattr("benchmarks.serving.content.asked", lambda rows: [[[0.5] * 30] * rows] * 16)
    return Run(ORDER)


def test_an_answer_is_compared_with_the_one_to_just_that_request(run: Run) -> None:
    run.judge(0, 200, b'{"predictions": [1]}')
    run.judge(1, 200, b'{"predictions": [0]}')
    assert (run.result.answered, run.result.errors, run.result.wrong) == (2, 0, 0)

    run.judge(0, 200, b'{"predictions": [0]}')
    run.judge(1, 200, b"{}")
    run.judge(1, 503, b'{"predictions": [0]}')
    assert (run.result.answered, run.result.errors, run.result.wrong) == (5, 1, 2)
    assert "[0] instead of [1]" in run.result.said


def test_right_answers_to_others_requests_are_found_by_their_number() -> None:
    told = {"answered": 16_000, "seconds": 1.0, "errors": 0, "wrong": 0, "p50": 1.0, "p99": 2.0, "said": ""}

    fine = compared({**told, "seen": [[8_010, 8], [7_990, 8]]}, ORDER, 16, 0.1)
    astray = compared({**told, "seen": [[9_000, 8], [7_000, 8]]}, ORDER, 16, 0.1)

    assert (fine.wrong, fine.a_second) == (0, 16_000)
    assert astray.wrong > 900
    assert "came 9000 times" in astray.said


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_every_protocol_is_asked_and_read(protocol: Protocol) -> None:
    body = json.dumps(protocol.body([[1.0, 2.0], [3.0, 4.0]]))
    assert "3.0" in body
    answers = {'"data":': b'{"outputs": [{"data": [1, 0]}]}', "": b"[1, 0]"}
    assert protocol.predictions(answers.get(protocol.before, b'{"predictions": [1, 0]}')) == [1, 0]


def test_the_page_tells_the_goals_the_losses_and_who_was_not_there() -> None:
    outcome = Outcome(missing={"FastAPI + uvicorn": "it cannot be installed"}, load="wrk")
    outcome.started.append(Started(NATIVE, "lockgate 1", "one worker", 1.0, 300, 1))
    for title, a_second in ((NATIVE, 2_000.0), (STOCK, 100.0)):
        for count in CONNECTIONS:
            row = outcome.of(title, Cell(LOGISTIC, 1, count))
            row.results.append(Result(answered=100, a_second=a_second, spent=30.0))
    outcome.of(STATIC, Cell("", 0, 8)).results.append(Result(answered=100, a_second=9_000.0, spent=10.0))
    slow = outcome.of(NATIVE, Cell(LOGISTIC, 1, 64))
    slow.results[0] = replace(slow.results[0], a_second=90.0, wrong=3, said="[1] instead of [0]")

    page = report.page(PLAN, outcome, command="make bench-serving", took=60.0)

    assert "| Lockgate, native, logistic, one row, c=8, by mlflow models serve | 20x | 15x | ✓ |" in page
    assert "- logistic, 1 row, c=64: 90/s, mlflow models serve 100/s" in page
    assert "- FastAPI + uvicorn was not measured: it cannot be installed" in page
    assert "0 failed, 3 wrong" in page
    assert "[1] instead of [0]" in page
    assert "static reply" in page


def test_a_whole_round_has_every_model_size_and_number_of_connections() -> None:
    assert len(cells()) == len(CONNECTIONS) + 3 * 2 * len(CONNECTIONS)
    assert Plan(5, 5, cells(), (NATIVE, STOCK)).total() == 5 * (3 + 2 * 18)
