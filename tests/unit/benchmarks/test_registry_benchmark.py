"""The benchmark counts what is wrong, and its page tells what was missed."""

from __future__ import annotations

import json
from itertools import islice

import pytest

from benchmarks.growth.__main__ import Row
from benchmarks.http_client import Result
from benchmarks.registry import content, report
from benchmarks.registry.cells import CELLS, SQLITE
from benchmarks.registry.load import Run
from benchmarks.registry.runner import MANY, ONE, Outcome, Plan
from benchmarks.registry.shots import SHOTS
from benchmarks.registry.sides import LOCKGATE, SINGLE, STOCK

PLAN = Plan(rounds=1, seconds=1.0, databases=(SQLITE,), cells=CELLS[:2], setups=(ONE,))


def test_every_cell_has_requests():
    assert {cell.name for cell in CELLS} == set(SHOTS)
    for shots in SHOTS.values():
        assert next(shots(0)).request.endswith((b"\r\n\r\n", b"}"))


@pytest.mark.parametrize("cell", [cell.name for cell in CELLS if cell.writes])
def test_no_two_writes_of_a_round_are_the_same(cell):
    requests = [shot.request for shot in islice(SHOTS[cell](0), 150)]

    assert len(set(requests)) == len(requests)


def test_a_right_answer_is_right_and_another_one_is_wrong_or_failed():
    run, shot = Run(iter(()), 0.0, 0), next(SHOTS["get version"](0))
    right = version_answer("model-00000", 1)

    run.judge(shot, 200, right)
    run.judge(shot, 200, right)
    assert (run.result.errors, run.result.wrong) == (0, 0)

    run.judge(shot, 200, right.replace(b"Archived", b"Staging"))
    run.judge(shot, 200, b"{}")
    run.judge(shot, 500, right)
    assert (run.result.answered, run.result.errors, run.result.wrong) == (5, 1, 2)
    assert "'Staging'" in run.result.said


def test_the_page_tells_what_was_reached_and_what_was_missed():
    outcome = Outcome()
    for cell, ours in zip(PLAN.cells, (2_500.0, 900.0), strict=True):
        for connections in (8, 1):
            outcome.of(SQLITE, ONE, cell.name, connections, STOCK).results.append(Result(a_second=100.0, p99=9.0))
            outcome.of(SQLITE, ONE, cell.name, connections, LOCKGATE).results.append(Result(a_second=ours, p99=3.0))

    page = report.page(PLAN, outcome, command="make bench-registry", took=60.0, postgres="")

    assert "| get version | 100 | 2,500 | 25.0x | 20x |" in page
    assert "| get by alias | 100 | 900 | 9.0x ✗ | 20x |" in page
    assert "- get by alias, SQLite: 9.0x of 20x." in page
    assert "- get version" not in page


def test_the_page_tells_what_two_workers_do_by_what_one_does():
    plan = Plan(rounds=1, seconds=1.0, databases=(SQLITE,), cells=CELLS[:3], setups=(MANY,))
    outcome = Outcome()
    for cell, two in zip([cell for cell in plan.cells if cell.scales], (1_500.0, 900.0), strict=True):
        for side, a_second in ((STOCK, 50.0), (SINGLE, 1_000.0), (LOCKGATE, two)):
            outcome.of(SQLITE, MANY, cell.name, 8, side).results.append(Result(a_second=a_second, busy=0.25))

    page = report.page(plan, outcome, command="make bench-registry", took=60.0, postgres="")

    assert "| get version | 50 | 1,000 | 1,500 | 1.50x |" in page
    assert "| latest versions | 50 | 1,000 | 900 | 0.90x ✗ |" in page
    assert "| 25% of a core |" in page
    assert "- latest versions, SQLite: two workers answer 0.90x of what one does." in page
    assert plan.total() == 2 * 3


def test_an_operation_is_flat_when_it_costs_about_the_same_at_every_size():
    def row(*times: float) -> Row:
        return Row(SQLITE, "versions", "get version", (10, 1_000), {10: [times[0]], 1_000: [times[1]]})

    assert row(1.0, 1.4).is_flat
    assert row(0.1, 0.3).is_flat, "a few tenths of a millisecond are noise"
    assert not row(1.0, 2.0).is_flat


def version_answer(name: str, version: int) -> bytes:
    tags = [{"key": key, "value": value} for key, value in content.version_tags(name, version).items()]
    row = {"name": name, "version": str(version), "current_stage": "Archived", "tags": tags}
    return json.dumps({"model_version": row | {"source": content.source(name, version)}}).encode()
