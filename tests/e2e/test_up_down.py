"""Starting everything on one machine, and stopping it without a trace."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Node, clean_environment, until

pytestmark = [pytest.mark.timeout(240), pytest.mark.both_databases(long=True)]


def test_up_answers_while_it_starts_says_where_and_leaves_nothing_behind(node: Node) -> None:
    node.from_nothing = True
    node.begin()
    until(lambda: node.answers("/health"), "/health")
    until(lambda: "Ready after" in node.log, "ready", 90)
    assert node.url in node.log
    assert str(node.home) in node.log
    assert f":{node.ports[1]}/invocations" in node.log
    assert stat.S_IMODE(node.home.stat().st_mode) == 0o700
    assert all(node.pid(role) in node.pids() for role in ("up", "server", "controller", "agent"))

    assert node.stop(signal.SIGINT) == 0
    assert not node.pids()
    assert "Nothing of it runs any more" in node.log


def test_down_stops_it_and_says_so_when_nothing_runs(node: Node) -> None:
    node.begin()
    until(lambda: node.answers("/health"), "/health")

    stopped = node.cli("down", "--home", str(node.home))
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert "Stopped Lockgate" in stopped.stdout
    assert not node.pids()

    again = node.cli("down", "--home", str(node.home))
    assert (again.returncode, again.stderr) == (0, "")
    assert "Nothing runs" in again.stdout


def test_a_second_up_for_the_same_home_is_refused_naming_the_first(node: Node) -> None:
    first = node.begin()
    until(lambda: node.answers("/health"), "/health")
    second = node.cli("up", *node.arguments())
    assert second.returncode == 1
    assert f"pid {first.pid}" in second.stderr
    assert first.poll() is None


def test_a_taken_port_is_named_with_its_owner(node: Node) -> None:
    with socket.create_server(("127.0.0.1", node.ports[0])):
        refused = node.cli("up", *node.arguments())
    assert refused.returncode == 1
    assert f"Port {node.ports[0]} is taken by process {os.getpid()}" in refused.stderr
    assert not node.pids()


def test_a_broken_policy_file_stops_it_with_line_and_key_before_anything_starts(node: Node) -> None:
    node.policy = "level: enforce\nstages:\n  Staging:\n    requires:\n      min_accuracy: high\n"
    refused = node.cli("up", *node.arguments())
    assert refused.returncode == 2
    assert "lockgate.yaml:5: stages.Staging.requires.min_accuracy: found 'high', expected a number" in refused.stderr
    assert not (node.home / "lockgate.db").exists()
    assert not node.pids()


def test_an_address_beyond_loopback_is_refused_with_the_reason(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-P", "-m", "lockgate.cli", "up", "--home", str(tmp_path / "home"), "--host", "0.0.0.0"],  # noqa: S104 - refused
        capture_output=True, text=True, timeout=60, check=False, env=clean_environment(), cwd=tmp_path,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "no users yet" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_process_that_dies_is_started_again(node: Node) -> None:
    node.begin()
    until(lambda: node.answers("/health") and node.pid("controller"), "/health")
    for role in ("controller", "server"):
        before = node.pid(role)
        os.kill(before, signal.SIGKILL)
        until(lambda role=role, before=before: node.pid(role) not in (0, before), f"another {role}")  # type: ignore[misc]
        assert f"{role} ended (killed by SIGKILL)" in node.log
    until(lambda: node.answers("/health"), "/health")
    assert node.stop() == 0


def test_when_up_is_killed_its_processes_end_and_the_next_up_starts(node: Node) -> None:
    node.begin()
    until(lambda: node.answers("/health") and node.pid("agent"), "/health")
    os.kill(node.pid("up"), signal.SIGKILL)
    assert node.process is not None
    node.process.wait(10)
    until(lambda: not node.pids(), "the end of the processes it left", 30)

    node.begin()
    until(lambda: node.answers("/health"), "/health")
    assert node.stop() == 0


def test_a_process_that_ignores_the_end_of_up_is_ended_by_the_next_one(node: Node) -> None:
    node.begin()
    until(lambda: node.answers("/health") and node.pid("controller"), "/health")
    before, stopped = node.pid("server"), node.pid("controller")
    os.kill(stopped, signal.SIGSTOP)
    os.kill(node.pid("up"), signal.SIGKILL)
    assert node.process is not None
    node.process.wait(10)

    node.begin()
    until(lambda: node.pid("server") not in (0, before) and node.answers("/health"), "/health")
    assert stopped not in node.pids()
    assert f"process {stopped}" in node.log
    assert node.stop() == 0
