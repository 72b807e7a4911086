"""Agents come and go, killed or ended; the workers go on and the next agent finds them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.adapters.processes.groups import ProcessGroups
from lockgate.adapters.processes.process import Process, started_at
from lockgate.domain.errors import Unavailable
from lockgate.domain.serving import GroupState
from lockgate.testing.agent_ledger import FakeAgentLedger
from lockgate.usecases.program_ports import Programs
from tests.integration.serving import agent_program
from tests.integration.serving.load import Load
from tests.integration.serving.machine import LIMIT, Machine, until
from tests.integration.serving.models import Models, release

# every test starts programs that import MLflow, which takes its time on a busy machine
pytestmark = pytest.mark.timeout(400)


class AgentProcess(Machine):
    """The same machine with its agent in a process that can be killed."""

    def __init__(self, run: Path, models: Models, programs: Programs, forks: Path) -> None:
        super().__init__(run, models, programs)
        self._forks = forks
        self._file = run.parent.parent / "ledger"
        self.ledger = FakeAgentLedger(self._file)
        self.agent: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        every = (self.models.first, self.models.second)
        self.agent = subprocess.Popen(
            [sys.executable, agent_program.__file__, str(self.run), str(self._file), str(self._forks)]
            + [f"{model.digest}={model.folder}" for model in every],
            stdin=subprocess.PIPE,
        )

    def halt(self, *, leave_workers: bool = False) -> None:
        if self.agent is None:
            return
        assert self.agent.stdin is not None
        if not leave_workers:
            self.agent.terminate()
        self.agent.stdin.close()
        self.agent.wait(LIMIT)
        self.agent = None

    def kill(self) -> None:
        """kill -9."""
        assert self.agent is not None
        self.agent.kill()
        self.halt(leave_workers=True)


@pytest.fixture
def apart(tmp_path: Path, models: Models, programs: Programs, forks: Path) -> Iterator[AgentProcess]:
    # longer than the path of a Unix socket may be
    home = tmp_path / ("a-home-with-a-long-name-" * 4)
    (home / "run").mkdir(parents=True)
    machine = AgentProcess(home / "run" / "workers", models, programs, forks)
    try:
        yield machine
    finally:
        machine.end()


def test_workers_outlive_a_killed_agent_and_the_next_one_adopts_them(apart: AgentProcess, models: Models) -> None:
    apart.want(workers=2)
    apart.begin()
    apart.serve(release(1, models.first))
    pids = until(lambda: len(found := apart.seen("r1", GroupState.SERVING).pids) == 2 and found, "two workers")
    with Load(apart.port()) as load:
        apart.kill()
        answered = len(load.so_far())
        until(lambda: len(load.so_far()) > answered + 20, "answers without an agent")
        reports = apart.ledger.reports
        apart.begin()
        until(lambda: apart.ledger.reports > reports, "a report of the new agent")
        assert set(apart.seen("r1", GroupState.SERVING).pids) == set(pids)
        apart.ledger.warm("e1", release(2, models.second))
        apart.seen("r2", GroupState.READY)
        apart.serve(release(2, models.second))
        answered = len(load.so_far())
        until(lambda: len(load.so_far()) > answered + 20, "answers of the new version")
    assert [asked for asked in load.so_far() if not asked.right] == []
    assert load.so_far()[-1].version == "2"


def test_a_parked_version_is_still_warm_after_its_agent_was_killed(apart: AgentProcess, models: Models) -> None:
    apart.want()
    apart.begin()
    apart.serve(release(1, models.first))
    (pid,) = apart.seen("r1", GroupState.SERVING).pids
    apart.ledger.warm("e1", release(2, models.second))
    apart.seen("r2", GroupState.READY)
    apart.serve(release(2, models.second))
    apart.seen("r1", GroupState.READY)
    apart.kill()
    client = apart.client()
    assert client.predict().version == "2"
    reports = apart.ledger.reports
    apart.begin()
    until(lambda: apart.ledger.reports > reports, "a report of the new agent")
    assert apart.seen("r1", GroupState.READY).pids == (pid,)
    apart.serve(release(1, models.first))
    assert apart.seen("r1", GroupState.SERVING).pids == (pid,)
    assert client.predict().version == "1"


def test_an_agent_whose_parent_died_leaves_its_workers_running(apart: AgentProcess, models: Models) -> None:
    apart.want()
    apart.begin()
    apart.serve(release(1, models.first))
    apart.halt(leave_workers=True)
    assert apart.client().predict().status == 200


def test_an_agent_that_is_told_to_end_ends_its_workers(apart: AgentProcess, models: Models) -> None:
    apart.want()
    apart.begin()
    apart.serve(release(1, models.first))
    (pid,) = apart.seen("r1", GroupState.SERVING).pids
    apart.halt()
    assert Process.find(pid, started_at(pid) or 0) is None
    assert apart.ledger.observed("e1") == {}
    assert [path.name for path in apart.run.iterdir() if path.name.startswith("w")] == []


def test_a_killed_swap_is_finished_by_the_next_agent(apart: AgentProcess, models: Models) -> None:
    apart.want()
    apart.begin()
    apart.serve(release(1, models.first))
    apart.ledger.warm("e1", release(2, models.second))
    apart.seen("r2", GroupState.READY)
    apart.kill()
    generation = apart.ledger.commit("e1", release(2, models.second))
    assert apart.client().predict().version == "1"  # without an agent nothing moves
    apart.begin()
    until(lambda: apart.ledger.endpoint("e1").acknowledged == generation, "the swap")
    assert apart.client().predict().version == "2"


def test_workers_that_died_with_their_agent_are_started_again_on_the_same_port(
    apart: AgentProcess, models: Models
) -> None:
    apart.want()
    apart.begin()
    apart.serve(release(1, models.first))
    port = apart.port()
    (pid,) = apart.seen("r1", GroupState.SERVING).pids
    apart.kill()
    os.kill(pid, signal.SIGKILL)
    apart.begin()
    until(lambda: apart.seen("r1", GroupState.SERVING).pids != (pid,), "another worker")
    assert (apart.port(), apart.client().predict().status) == (port, 200)


def test_workers_go_on_and_are_replaced_while_the_record_is_away(machine: Machine, models: Models) -> None:
    machine.want()
    machine.begin()
    machine.serve(release(1, models.first))
    (pid,) = machine.seen("r1", GroupState.SERVING).pids
    machine.ledger.away = True
    os.kill(pid, signal.SIGKILL)
    assert machine.client().predict().status == 200
    machine.ledger.away = False
    until(lambda: machine.seen("r1", GroupState.SERVING).pids != (pid,), "the report of another worker")


def test_a_second_agent_on_the_same_folder_is_refused_naming_the_first(machine: Machine, programs: Programs) -> None:
    first = ProcessGroups(machine.run, programs)
    first.adopt()
    try:
        with pytest.raises(Unavailable, match=f"process {os.getpid()}"):
            ProcessGroups(machine.run, programs).adopt()
    finally:
        first.let_go()
