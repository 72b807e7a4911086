"""The promises of `CustomRules`, kept by the evaluator with its real children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate import wiring
from lockgate.adapters.cel.evaluator import CelRules, Limits
from lockgate.adapters.cel.explaining import FUNCTIONS
from lockgate.domain.custom import LONGEST_RULE, Seen
from lockgate.domain.evidence import CustomResult
from lockgate.usecases import doctor

TEN = "[1,2,3,4,5,6,7,8,9,10]"
MAPS = f"{TEN}.map(a,{TEN}.map(b,{TEN}.map(c,{TEN}.map(d,{TEN}.map(e,{TEN}.map(f,a*b*c*d*e*f)))))).size() > 1"
DOUBLED = f"['{'x' * 64}']{'.map(v, v + v)' * 40}.size() == 1"
BOMBS = {
    "nested maps": MAPS,
    "a text doubled until the memory is full": DOUBLED,
    "a list built from texts": "tags.map(a, tags.map(b, a + b))" + ".map(c, c + c)" * 30 + ".size() > 0",
}
SEEN = Seen(
    {
        "metrics": {"accuracy": 0.8, "f1_score": 0.9, "latency_test.p95_ms": 3.5},
        "champion": {"present": False, "metrics": {}},
        "tags": {"team": "fraud", 'a "quoted"\nkey': "yes", "größe": "groß"},
        "model": {"name": "fraud", "version": 7},
        "validation": {"schema_test": True},
        "checks": {"ci/bias": False},
        "stage": "Staging",
        "target": "Production",
        "hours_in_stage": 30.5,
    },
    {"metrics.auc": "it is NaN", "champion.metrics": "there is no champion"},
)


@pytest.fixture(scope="module")
def rules():
    found = CelRules()
    yield found
    found.close()


def judged(rules: CelRules, expression: str, seen: Seen = SEEN) -> CustomResult:
    return rules.evaluate({"it": expression}, seen)["it"]


def children_of_this_process() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()}


def states(pids: set[int]) -> set[str]:
    """The state letter of each process that is still known, `Z` for a zombie."""
    found = set()
    for pid in pids:
        try:
            found.add(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])
        except OSError:
            continue
    return found


def ticks_of(pid: int) -> int:
    """The processor time it has used, in clock ticks."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "metrics.f1_score >= 0.9",
        "metrics.f1_score > 0",
        "!champion.present || metrics.f1_score >= champion.metrics.f1_score - 0.01",
        "tags.team == 'fraud' && model.name.startsWith('fr') && model.version == 7",
        "validation.schema_test && !checks['ci/bias']",
        "stage == 'Staging' && target == 'Production' && hours_in_stage >= 24.0",
        "has(metrics.accuracy) && !has(metrics.recall)",
        "metrics['latency_test.p95_ms'] < 5.0",
        "metrics.all(name, metrics[name] > 0.5)",
        "tags['a \"quoted\"\\nkey'] == 'yes' && tags['größe'] == 'groß'",
        "metrics.f1_score > 0.5 // the least there may be\n&& tags.team.matches('^[a-z]+$')",
    ],
)
def test_what_is_true_holds(rules, expression):
    assert judged(rules, expression) == CustomResult(True, "it is true", SEEN.digest)


@pytest.mark.parametrize(
    ("expression", "because"),
    [
        ("metrics.f1_score > 0.95", "it is false"),
        ("metrics.f1 > 0.5", "metrics.f1 is not there; there are accuracy, f1_score, latency_test.p95_ms"),
        ("metrics['f1'] > 0.5", "metrics.f1 is not there; there are accuracy, f1_score, latency_test.p95_ms"),
        ("metrics.auc > 0.5", "metrics.auc is not there: it is NaN"),
        ("champion.metrics.f1_score > 0.5", "champion.metrics.f1_score is not there: there is no champion"),
        ("checks.unit", "checks.unit is not there; there is ci/bias"),
        ("tags.owner == 'me'", 'tags.owner is not there; there are "a \\"quoted\\"\\nkey", größe, team'),
        ("metrics.f1_score", "it gave a number 0.9 and not true or false"),
        ("1", "it gave a whole number 1 and not true or false"),
        ("'true'", "it gave the text 'true' and not true or false"),
        ("null", "it gave null and not true or false"),
        ("metrics", "it gave a map of 3 and not true or false"),
        (f"{TEN}.map(a, {TEN}.map(b, {TEN}))", "it gave a list of 10 and not true or false"),
        ("metrics.f1_score - 1 > 0", "write numbers with a point (1.0)"),
        ("metrics.f1_score / 0.0 - metrics.f1_score / 0.0 > 0.5", "of two kinds"),
        ("1 / 0 == 1", "it divides by zero"),
        ("9223372036854775807 + 1 > 0", "grows larger than 64 bits"),
        ("metric.f1_score > 0.5", "metric is not known in a rule"),
        ("max(1, 2) > 1", "max is not known in a rule"),
        ("metrics.f1_score >", "it is not CEL (line 1): the rule ends too early"),
        ("__import__('os').system('true') == 0", "not known in a rule"),
        ("", "it is not CEL (line 1): the rule ends too early"),
    ],
)
def test_anything_else_is_a_no_that_says_why(rules, expression, because):
    result = judged(rules, expression)

    assert result.value is False
    assert because in result.because
    assert "\n" not in result.because


def test_no_answer_is_longer_than_a_gate_can_show(rules):
    many = Seen({"metrics": {f"metric_{number:04}_{'x' * 200}": 1.0 for number in range(500)}}, {})

    missing = judged(rules, "metrics.nothing > 1.0", many)
    long = judged(rules, f"'{'é' * 4000}'")

    assert "and 488 more" in missing.because or len(missing.because) <= 301
    assert len(long.because) < 400


def test_every_rule_of_a_verdict_has_its_answer_in_whatever_order_they_fail(rules):
    asked = {"yes": "true", "bomb": MAPS, "no": "false", "deep": "(" * 4000, "last": "metrics.f1_score > 0.5"}

    found = rules.evaluate(asked, SEEN)

    assert list(found) == list(asked)
    assert {name: result.value for name, result in found.items()} == {
        "yes": True,
        "bomb": False,
        "no": False,
        "deep": False,
        "last": True,
    }


_NUMBERS = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(
    first=_NUMBERS,
    second=_NUMBERS,
    literal=st.floats(min_value=-1e6, max_value=1e6, allow_nan=False).map(lambda value: round(value, 6)),
    how=st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    other=st.sampled_from(["<", ">="]),
    joined=st.sampled_from(["&&", "||"]),
    negated=st.booleans(),
)
def test_a_comparison_says_what_python_says(rules, first, second, literal, how, other, joined, negated):
    seen = Seen({"metrics": {"a": first, "b": second}}, {})
    written = f"(metrics.a {how} metrics.b) {joined} (metrics.b {other} {literal:.6f})"
    expression = f"!({written})" if negated else written

    python = written.replace("metrics.a", repr(first)).replace("metrics.b", repr(second))
    expected = eval(python.replace("&&", "and").replace("||", "or"))  # noqa: S307 - written four lines above

    assert judged(rules, expression, seen).value is (expected is not negated)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_a_no_within_the_limits_and_the_next_rule_is_answered(rules, bomb):
    result = judged(rules, bomb)

    assert result.value is False
    assert "than a rule may" in result.because
    assert judged(rules, "metrics.f1_score > 0.5").value is True


@pytest.mark.parametrize("pattern", ["(a+)+$", "((a{1000}){1000}){1000}", "(x+x+)+y"])
def test_a_catastrophic_pattern_costs_no_more_than_a_rule_may(rules, pattern):
    result = judged(rules, f"'{'a' * 500}b'.matches('{pattern}')")

    assert result.value is False


def test_rules_that_use_up_the_time_of_a_verdict_leave_the_rest_unevaluated():
    rules = CelRules(Limits(rule_processor=0.1, verdict=0.15))
    try:
        found = rules.evaluate({"a": MAPS, "b": MAPS, "c": MAPS, "d": "true"}, SEEN)
    finally:
        rules.close()

    assert [result.value for result in found.values()] == [False] * 4
    assert "used up the time" in found["d"].because


def test_what_is_too_long_or_too_large_is_not_even_sent(rules):
    assert "too long" in judged(rules, "true" + " " * LONGEST_RULE).because
    large = Seen({"tags": {f"tag{number}": "x" * 1000 for number in range(400)}}, {})
    assert "too large for a rule" in judged(rules, "tags.tag1 == 'x'", large).because


def test_a_child_knows_nothing_of_ours(rules, monkeypatch):
    monkeypatch.setenv("LOCKGATE_DATABASE", "postgresql://somebody:secret@host/db")
    fresh = CelRules()
    try:
        before = children_of_this_process()
        assert judged(fresh, "true").value is True
        (child,) = children_of_this_process() - before
        environment = Path(f"/proc/{child}/environ").read_bytes()
        limits = Path(f"/proc/{child}/limits").read_text()
        files = len(list(Path(f"/proc/{child}/fd").iterdir()))
    finally:
        fresh.close()

    assert b"secret" not in environment
    assert b"LOCKGATE" not in environment
    assert f"{Limits().memory}" in next(line for line in limits.splitlines() if line.startswith("Max address space"))
    assert files == 3, "standard input, output and error, and nothing else"


# --- children ---------------------------------------------------------------------------------------------------------


def test_nothing_is_started_before_it_is_needed_and_nothing_is_left_afterwards():
    before = children_of_this_process()
    rules = CelRules()
    assert children_of_this_process() == before

    assert judged(rules, "true").value is True
    started = children_of_this_process() - before
    assert len(started) == 1
    assert judged(rules, MAPS).value is False
    assert judged(rules, "true").value is True
    replaced = children_of_this_process() - before - started
    assert len(replaced) == 1
    assert states(started) == set(), "the killed one is gone, and no zombie"

    rules.close()
    assert children_of_this_process() == before
    assert "could not be started" in judged(rules, "true").because


def test_a_child_that_somebody_kills_is_replaced_and_the_answer_is_right():
    before = children_of_this_process()
    rules = CelRules()
    try:
        assert judged(rules, "true").value is True
        for number in (signal.SIGKILL, signal.SIGTERM):
            (child,) = children_of_this_process() - before
            os.kill(child, number)
            assert judged(rules, "metrics.f1_score > 0.5").value is True
    finally:
        rules.close()


def test_a_child_killed_in_the_middle_of_an_evaluation_is_asked_again_in_another():
    before = children_of_this_process()
    rules = CelRules(Limits(rule_processor=5.0, rule=0.6))
    found: list[CustomResult] = []
    try:
        assert judged(rules, "true").value is True
        (child,) = children_of_this_process() - before
        idle, began = ticks_of(child), time.monotonic()
        asking = threading.Thread(target=lambda: found.append(judged(rules, MAPS)))
        asking.start()
        while ticks_of(child) < idle + 2:
            assert time.monotonic() - began < 10, "it never began to compute"
        os.kill(child, signal.SIGKILL)
        asking.join(20)
    finally:
        rules.close()

    assert "longer than a rule may" in found[0].because, "the second child was not killed, and took too long"


ASKER = """
import pathlib, os, sys, threading, time
from lockgate.adapters.cel.evaluator import CelRules, Limits
from lockgate.domain.custom import Seen
rules = CelRules(Limits(rule_processor=0.6, rule=20.0, verdict=30.0))
rules.evaluate({"it": "true"}, Seen({}, {}))
print(pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text(), flush=True)
if sys.argv[1:]:
    rules.evaluate({"it": sys.argv[1]}, Seen({}, {}))
time.sleep(60)
"""


@pytest.mark.parametrize("rule", ["", MAPS], ids=["idle", "computing"])
def test_a_child_leaves_when_whoever_asked_is_killed(rule):
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKER, *([rule] if rule else [])], stdout=subprocess.PIPE, text=True
    )
    assert asker.stdout is not None
    with asker.stdout:
        child = int(asker.stdout.readline())
    while rule and ticks_of(child) < 10:
        assert asker.poll() is None
    asker.kill()
    asker.wait()

    began = time.monotonic()
    while states({child}) - {"Z"}:
        assert time.monotonic() - began < 20, "it is still there"


def test_a_child_that_does_not_answer_at_all_is_given_up():
    before = children_of_this_process()
    rules = CelRules(Limits(rule=0.2))
    try:
        assert judged(rules, "true").value is True
        (child,) = children_of_this_process() - before
        os.kill(child, signal.SIGSTOP)
        stopped = judged(rules, "true")
        afterwards = judged(rules, "true")
    finally:
        rules.close()

    assert stopped.value is False
    assert afterwards.value is True


def test_eight_threads_get_their_own_answers_while_one_of_them_brings_bombs():
    rules = CelRules()
    wrong: list[object] = []

    def ask(number: int) -> None:
        for turn in range(6):
            seen = Seen({"metrics": {"mine": float(number)}}, {})
            asked = {"mine": f"metrics.mine == {number}.0", "other": f"metrics.mine == {number + 1}.0"}
            if number == 0 and turn % 3 == 0:
                asked["bomb"] = MAPS
            found = {name: result.value for name, result in rules.evaluate(asked, seen).items()}
            if found != {"mine": True, "other": False} | ({"bomb": False} if "bomb" in asked else {}):
                wrong.append((number, turn, found))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        rules.close()

    assert wrong == []


def test_the_doctor_tells_where_rules_cannot_be_evaluated(monkeypatch):
    assert doctor.rule_findings(wiring.inspect_rules()) == ()
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    (finding,) = doctor.rule_findings(wiring.inspect_rules())

    assert not finding.stops
    assert "could not be started: No such file or directory" in finding.what


# --- checking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "line", "because"),
    [
        ("metrics.f1_score >", 1, "ends too early"),
        ("metrics.f1_score > 0.5\n  and tags.team == 'x'", 2, "Write &&."),
        ("metrics.f1_score\n\n = 0.5", 3, "Write == to compare."),
        ("metric.f1 > 0.5", 1, "did you mean metrics?"),
        ("true ||\n max(1, 2) > 1", 2, "max is not known"),
        ("has(metrics)", 1, "takes a field"),
        ("'open", 1, "is not closed"),
        ("has( (]", 1, "takes a field"),
        ("true \\", 1, "at character 6"),
        ("10000000000000000000000 > 1", 1, "invalid int literal"),
        ("(" * 3000, 1, "nested too deeply"),
        ("x" * 5000, 1, "too long"),
    ],
)
def test_a_fault_is_found_before_a_rule_is_ever_evaluated_and_has_its_line(rules, expression, line, because):
    (fault, *_) = rules.check(expression)

    assert fault.line == line
    assert because in fault.because


@pytest.mark.parametrize(
    "expression",
    ["metrics.all(name, metrics[name] > 0.5)", "has(tags.team) && tags.team.matches('x')", "size(tags) > 0", MAPS],
)
def test_nothing_is_held_against_a_rule_that_may_be_right(rules, expression):
    assert rules.check(expression) == ()


def test_the_functions_that_a_check_knows_are_those_that_there_are(rules):
    moment = "timestamp('2026-02-03T04:05:06Z')"
    calls = [
        "bytes('x') == b'x' && 'text'.contains('e') && double(1) == 1.0 && duration('1h') > duration('1m')",
        "dyn(1) == 1 && 'text'.endsWith('t') && int('3') == 3 && 'x1'.matches('^x') && size('text') == 4",
        "'text'.startsWith('t') && string(1) == '1' && type(1) == int && uint(1) == 1u",
        f"{moment}.getFullYear() == 2026 && {moment}.getMonth() == 1 && {moment}.getDate() == 3",
        f"{moment}.getDayOfMonth() == 2 && {moment}.getDayOfWeek() == 2 && {moment}.getDayOfYear() == 33",
        f"{moment}.getHours() == 4 && {moment}.getMinutes() == 5 && {moment}.getSeconds() == 6",
        f"{moment}.getMilliseconds() == 0",
    ]

    assert {call: judged(rules, call).because for call in calls} == dict.fromkeys(calls, "it is true")
    assert all(rules.check(call) == () for call in calls)
    assert {name for name in FUNCTIONS if not any(f"{name}(" in call for call in calls)} == set()
    assert judged(rules, "timestamp(1) == 1").because == "timestamp(…) does not take what it is given"
