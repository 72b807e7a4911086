"""The agent's loop on a machine that exists only in memory, with a clock that the test moves."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockgate.agent.loop import Agent
from lockgate.domain.errors import Unavailable
from lockgate.domain.serving import DesiredEndpoint, Endpoint, EndpointState, GroupState, Release
from lockgate.domain.traffic import Neighbour
from lockgate.domain.versions import VersionRef
from lockgate.testing.agent_ledger import FakeAgentLedger
from lockgate.usecases.serving_ports import Division, GroupOrder, GroupSeen, WorkerSeen


class MemoryGroups:
    """Keeps the promises of `WorkerGroups` without processes: workers load when the test says so."""

    def __init__(self) -> None:
        self.groups: dict[str, GroupSeen] = {}
        self.open: dict[str, int] = {}
        self.taken = ""
        self.ended: float | None = None
        self.left = False
        self.admitted: dict[str, tuple[str, ...]] = {}
        self.introduced: dict[str, tuple[Neighbour, ...]] = {}
        self.divisions: dict[tuple[str, str], Division] = {}

    def adopt(self) -> None:
        pass

    def ports(self) -> dict[str, int]:
        return dict(self.open)

    def bind(self, endpoint: str, host: str, ports: Sequence[int]) -> int:
        if self.taken:
            raise Unavailable(self.taken)
        self.open[endpoint] = ports[0]
        return ports[0]

    def look(self) -> Sequence[GroupSeen]:
        return list(self.groups.values())

    def ensure(self, order: GroupOrder) -> bool:
        if order.release.id in self.groups:
            return False
        worker = WorkerSeen("w", 7, GroupState.STARTING)
        self.groups[order.release.id] = GroupSeen(order.endpoint, order.release.id, (worker,), order.rule.workers)
        return True

    def admit(self, endpoint: str, tokens: Sequence[str]) -> None:
        self.admitted[endpoint] = tuple(tokens)

    def go(self, endpoint: str, release: str) -> bool:
        return self.become(release, GroupState.SERVING)

    def drain(self, endpoint: str, release: str, *, forward: bool, park: bool = False) -> bool:
        del self.groups[release]
        return True

    def rest(self, endpoint: str, release: str) -> bool:
        return self.become(release, GroupState.READY)

    def stop(self, endpoint: str, release: str) -> bool:
        del self.groups[release]
        return True

    def close(self, endpoint: str) -> None:
        del self.open[endpoint]

    def shut_down(self, grace_seconds: float) -> None:
        self.ended = grace_seconds

    def let_go(self) -> None:
        self.left = True

    def introduce(self, endpoint: str, neighbours: Sequence[Neighbour]) -> None:
        self.introduced[endpoint] = tuple(neighbours)

    def divide(self, endpoint: str, release: str, division: Division) -> None:
        self.divisions[endpoint, release] = division

    def become(self, release: str, state: GroupState) -> bool:
        seen = self.groups[release]
        self.groups[release] = replace(seen, workers=tuple(replace(worker, state=state) for worker in seen.workers))
        return True


class Stage:
    """An agent, its ledger, its machine and its clock."""

    def __init__(self) -> None:
        self.time = 100.0
        self.ledger = FakeAgentLedger()
        self.groups = MemoryGroups()
        self.agent = Agent(self.ledger, self.groups, lambda digest: Path("/") / digest, clock=lambda: self.time)
        kept = Endpoint("e", "production", "fraud", None, None, 0, 0, EndpointState.PENDING)
        self.ledger.want(DesiredEndpoint(kept, "127.0.0.1", 5002, False))

    def settle(self) -> None:
        while self.agent.step():
            pass

    def pass_time(self, seconds: float) -> None:
        self.time += seconds
        self.settle()

    def serve(self, release: Release) -> None:
        self.ledger.commit("e", release)
        self.settle()
        self.groups.become(release.id, GroupState.READY)
        self.settle()


@pytest.fixture
def stage() -> Stage:
    return Stage()


def release(number: int) -> Release:
    made = datetime(2026, 1, 1, tzinfo=UTC)
    return Release(f"r{number}", "e", VersionRef("fraud", number), f"sha256:{number}", "mlflow", "p", made)


def test_a_committed_release_comes_to_serve_and_is_acknowledged(stage: Stage) -> None:
    stage.serve(release(1))
    found = stage.ledger.endpoint("e")
    assert (found.port, found.acknowledged, found.state) == (5002, 1, EndpointState.SERVING)
    assert stage.ledger.observed("e")["r1"].state is GroupState.SERVING


def test_an_acknowledgement_that_is_lost_is_given_again(stage: Stage) -> None:
    stage.ledger.commit("e", release(1))
    stage.settle()
    stage.groups.become("r1", GroupState.READY)
    stage.ledger.away = True
    stage.settle()
    assert stage.ledger.endpoint("e").acknowledged == 0
    assert stage.groups.groups["r1"].accepts  # what was wanted last is still brought about
    stage.ledger.away = False
    stage.settle()
    assert stage.ledger.endpoint("e").acknowledged == 1


def test_a_record_that_never_answered_ends_nobody(stage: Stage) -> None:
    stage.groups.groups["r9"] = GroupSeen("e", "r9", (WorkerSeen("w", 7, GroupState.SERVING),), 1)
    stage.ledger.away = True
    stage.settle()
    assert stage.groups.groups["r9"].accepts


def test_a_difference_is_told_after_a_second_and_taken_back_when_it_is_gone(stage: Stage) -> None:
    stage.serve(release(1))
    stage.groups.become("r1", GroupState.STARTING)
    stage.settle()
    stage.pass_time(0.9)
    assert stage.ledger.endpoint("e").state is EndpointState.SERVING
    stage.pass_time(0.2)
    assert stage.ledger.endpoint("e").state is EndpointState.DEGRADED
    assert "should serve and does not" in stage.ledger.endpoint("e").because
    stage.groups.become("r1", GroupState.READY)
    stage.settle()
    found = stage.ledger.endpoint("e")
    assert (found.state, found.because) == (EndpointState.SERVING, "")


def test_a_taken_port_is_told_and_tried_again(stage: Stage) -> None:
    stage.groups.taken = "Port 5002 is taken by process 9 (other)."
    stage.settle()
    stage.pass_time(1.5)
    assert stage.ledger.endpoint("e").because == stage.groups.taken
    stage.groups.taken = ""
    stage.pass_time(1.5)
    found = stage.ledger.endpoint("e")
    assert (found.port, found.because) == (5002, "")


def test_what_is_seen_is_reported_when_it_changes_and_every_two_seconds(stage: Stage) -> None:
    stage.serve(release(1))
    before = stage.ledger.reports
    stage.pass_time(0.5)
    assert stage.ledger.reports == before
    stage.pass_time(2.0)
    assert stage.ledger.reports == before + 1


@pytest.mark.parametrize("leave", [False, True])
def test_the_end_of_an_agent_ends_its_workers_unless_they_are_to_stay(stage: Stage, leave: bool) -> None:
    stop, leave_workers = threading.Event(), threading.Event()
    stop.set()
    if leave:
        leave_workers.set()
    stage.agent.run(stop, leave_workers=leave_workers)
    assert (stage.groups.left, stage.groups.ended is None) == (leave, leave)


def test_who_may_ask_is_told_before_anything_is_started_and_again_when_it_changes(stage: Stage) -> None:
    stage.ledger.admit("e", ["sha256:1"])
    stage.settle()
    assert stage.groups.admitted == {"e": ("sha256:1",)}
    stage.ledger.admit("e", [])
    stage.settle()
    assert stage.groups.admitted == {"e": ()}
