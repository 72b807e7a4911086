"""A version takes over from another under load: nobody fails, and nobody is answered by the old one afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from lockgate.domain.serving import GroupState
from lockgate.wire.workers import CommonToAll
from tests.integration.serving.load import Asked, Load
from tests.integration.serving.machine import Client, Machine, until
from tests.integration.serving.models import COLUMNS, Models, release

# every test starts programs that import MLflow, which takes its time on a busy machine
pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_swap_under_load_fails_nobody_hangs_nobody_and_ends_the_old_version(
    workers: int, machine: Machine, models: Models, rounds: Callable[[int, int], int]
) -> None:
    """To a fresh release and back to the parked one, in turn."""
    machine.want(workers=workers, park_memory=2**29)
    machine.begin()
    first = release(1, models.first)
    machine.serve(first)
    port = machine.port()
    at_first = machine.seen("r1", GroupState.SERVING, pids=workers).pids
    swaps = [Swap(0.0, 0.0, "1")]
    with Load(port) as kept, Load(port, 2, renew=True) as renewed, Load(port, 2, pipelined=5) as pipelined:
        for turn in range(rounds(2, 20)):
            green = first if turn % 2 else replace(release(2, models.second), id=f"fresh{turn}")
            old = machine.client()
            old_version = old.predict().version
            machine.ledger.warm("e1", green)
            machine.seen(green.id, GroupState.READY, pids=workers)
            committed = time.monotonic()
            machine.serve(green)
            swaps.append(Swap(committed, time.monotonic(), str(green.ref.version)))
            # opened before the swap and idle since: the new version answers it
            assert (old_version, old.predict().version) == (str(3 - green.ref.version), str(green.ref.version))
            for load in (kept, renewed, pipelined):
                enough = len(load.so_far()) + 20
                until(lambda load=load, enough=enough: len(load.so_far()) > enough, "more answers")  # type: ignore[misc]
            if green is first:
                assert machine.seen("r1", GroupState.SERVING).pids == at_first  # they had stayed warm
    every = [*kept.so_far(), *renewed.so_far(), *pipelined.so_far()]
    assert [asked for asked in every if asked.hung] == []
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
        until(lambda: in_flight(watcher) == 2, "two at once")
        machine.serve(release(2, models.second))
        assert machine.client().predict().version == "2"
        heard = slow.result()
    assert (heard.status, heard.version, heard.told) == (200, "1", {"predictions": ["slow"]})
    assert "connection" not in heard.headers
    assert client.predict().version == "2"  # on the same connection


def in_flight(watcher: Client) -> float:
    """How many requests the worker at the other end answers at this moment, the asking one included."""
    told = watcher.ask("/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in told if line.startswith("lockgate_requests_in_flight{"))


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


def test_going_back_while_the_old_version_still_has_a_request_uses_it_again(machine: Machine, models: Models) -> None:
    machine.want()
    machine.begin()
    blue, green = release(1, models.patient), release(2, models.second)
    machine.serve(blue)
    (pid,) = machine.seen("r1", GroupState.SERVING).pids
    body = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[1, 2, 3]]}, "params": {"seconds": 3.0}})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(machine.client().ask, "/invocations", body)
        until(lambda: in_flight(machine.client()) == 2, "two at once")
        machine.ledger.warm("e1", green)
        machine.seen("r2", GroupState.READY)
        machine.serve(green)
        assert machine.seen("r1", GroupState.DRAINING).pids == (pid,)
        machine.serve(blue)
        assert machine.client().predict().version == "1"
        assert slow.result().version == "1"
    assert machine.seen("r1", GroupState.SERVING).pids == (pid,)


def test_the_old_version_leaves_at_once_where_nothing_is_parked(machine: Machine, models: Models) -> None:
    machine.want(park=timedelta())
    machine.begin()
    machine.serve(release(1, models.first))
    idle, never = machine.client(), machine.client()
    assert idle.predict().version == "1"
    machine.ledger.warm("e1", release(2, models.second))
    machine.seen("r2", GroupState.READY)
    machine.serve(release(2, models.second))
    # it waits for no idle client: those are with the new version
    until(lambda: "r1" not in machine.ledger.observed("e1"), "the end of the old version")
    assert (idle.predict().version, never.predict().version) == ("2", "2")


def test_parked_versions_leave_when_their_memory_is_too_much(machine: Machine, models: Models) -> None:
    machine.want(park_memory=1)
    machine.begin()
    machine.serve(release(1, models.first))
    machine.ledger.warm("e1", release(2, models.second))
    machine.seen("r2", GroupState.READY)
    machine.serve(release(2, models.second))
    until(lambda: "r1" not in machine.ledger.observed("e1"), "the end of the old version")
    assert machine.client().predict().version == "2"


def test_where_connections_cannot_change_hands_the_new_version_answers_them_and_they_end(
    machine: Machine, models: Models
) -> None:
    machine.common = CommonToAll(edge="uvicorn")
    machine.want()
    machine.begin()
    machine.serve(release(1, models.first))
    idle = machine.client()
    assert idle.predict().version == "1"
    with Load(machine.port(), 2) as kept, Load(machine.port(), 1, pipelined=3) as pipelined:
        machine.ledger.warm("e1", release(2, models.second))
        machine.seen("r2", GroupState.READY)
        machine.serve(release(2, models.second))
        heard = idle.predict()
        assert (heard.version, heard.headers["connection"]) == ("2", "close")
        enough = len(kept.so_far()) + 20
        until(lambda: len(kept.so_far()) > enough, "more answers")
    assert [asked for asked in kept.so_far() if not asked.right] == []
    # what was sent behind the last answer of a connection is for the client to send again; none is answered wrongly
    assert [asked for asked in pipelined.so_far() if not asked.right and not asked.error] == []
