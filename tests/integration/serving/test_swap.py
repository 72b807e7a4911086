"""A version takes over from another under load: nobody fails, and nobody is answered by the old one afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from lockgate.domain.serving import GroupState
from tests.integration.serving.load import Asked, Load
from tests.integration.serving.machine import Machine, until
from tests.integration.serving.models import COLUMNS, Models, release

# every test starts programs that import MLflow, which takes its time on a busy machine
pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_swap_under_load_fails_nobody_and_ends_the_old_version(
    workers: int, machine: Machine, models: Models, rounds: Callable[[int, int], int]
) -> None:
    machine.want(workers=workers)
    machine.begin()
    both = {1: models.first, 2: models.second}
    machine.serve(release(1, both[1]))
    port = machine.port()
    swaps = [Swap(0.0, 0.0, "1")]
    with Load(port) as kept, Load(port, 2, renew=True) as renewed:
        for turn in range(rounds(2, 20)):
            number = 2 - turn % 2
            green = release(number, both[number])
            old = machine.client()
            old_version = old.predict().version
            machine.ledger.warm("e1", green)
            machine.seen(green.id, GroupState.READY)
            committed = time.monotonic()
            machine.serve(green)
            swaps.append(Swap(committed, time.monotonic(), str(number)))
            # opened before the swap and idle since: the old worker has it, the new version answers
            assert (old_version, old.predict().version) == (str(3 - number), str(number))
            enough = len(kept.so_far()) + 20
            until(lambda enough=enough: len(kept.so_far()) > enough, "more answers")  # type: ignore[misc]
    every = [*kept.so_far(), *renewed.so_far()]
    assert [asked for asked in every if not asked.right] == []
    assert [asked for asked in every if asked.version not in allowed(swaps, asked)] == []


@dataclass(frozen=True)
class Swap:
    """When a version was committed, and when its commit was acknowledged."""

    committed: float
    acknowledged: float
    version: str


def allowed(swaps: list[Swap], asked: Asked) -> set[str]:
    """The versions that may answer: the one acknowledged last before it was sent, and any committed since."""
    before = max((swap for swap in swaps if swap.acknowledged <= asked.sent), key=lambda swap: swap.acknowledged)
    since = {swap.version for swap in swaps if before.committed < swap.committed <= asked.answered}
    return {before.version} | since


def test_a_request_under_way_is_finished_by_the_version_that_began_it(machine: Machine, models: Models) -> None:
    machine.want()
    machine.begin()
    machine.serve(release(1, models.patient))
    machine.ledger.warm("e1", release(2, models.second))
    machine.seen("r2", GroupState.READY)
    client = machine.client()
    row = {"columns": COLUMNS, "data": [[1, 2, 3]]}
    body = json.dumps({"dataframe_split": row, "params": {"seconds": 3.0, "word": "slow"}})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.ask, "/invocations", body)
        watcher = machine.client()
        until(lambda: "in_flight" in (told := watcher.ask("/metrics").body.decode()) and "} 2\n" in told, "two at once")
        machine.serve(release(2, models.second))
        assert machine.client().predict().version == "2"
        heard = slow.result()
    assert (heard.status, heard.version, heard.told) == (200, "1", {"predictions": ["slow"]})
    assert heard.headers["connection"] == "close"


def test_a_candidate_that_cannot_load_leaves_the_present_version_alone(machine: Machine, models: Models) -> None:
    machine.want()
    machine.begin()
    machine.serve(release(1, models.first))
    with Load(machine.port()) as load:
        machine.ledger.warm("e1", release(2, models.broken))
        machine.seen("r2", GroupState.FAILED)
        machine.ledger.warm("e1", None)
        until(lambda: "r2" not in machine.ledger.observed("e1"), "r2 forgotten")
    assert {(asked.right, asked.version) for asked in load.so_far()} == {(True, "1")}


def test_going_back_while_the_old_version_still_leaves_uses_it_again(machine: Machine, models: Models) -> None:
    machine.want()
    machine.begin()
    blue, green = release(1, models.first), release(2, models.second)
    machine.serve(blue)
    (pid,) = machine.seen("r1", GroupState.SERVING).pids
    held = machine.client()
    assert held.predict().version == "1"  # an open connection keeps blue from leaving at once
    machine.ledger.warm("e1", green)
    machine.seen("r2", GroupState.READY)
    machine.serve(green)
    machine.ledger.commit("e1", blue)
    assert machine.seen("r1", GroupState.SERVING).pids == (pid,)
    until(lambda: held.predict().version == "1", "blue on the old connection")
