"""A real `lockgate up` in a home of its own, on ports of its own, of which nothing is left afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import Connection, create_engine

from tests.databases.backends import NewDatabase, sqlite_template
from tests.databases.postgres import shared_folder
from tests.databases.templates import Template

READY_LIMIT = 90.0
STOP_LIMIT = 60.0
COMMAND_LIMIT = 120.0


def until(condition: Callable[[], Any], what: str, limit: float = 60.0) -> Any:
    """The condition's value as soon as it is true; fails naming `what` when it is not within `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {limit:g} s")
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without the settings of whoever runs the tests."""
    told = {k: v for k, v in os.environ.items() if not k.startswith(("LOCKGATE_", "MLFLOW_")) and k != "COLUMNS"}
    return {**told, "GIT_PYTHON_REFRESH": "quiet", "MLFLOW_DISABLE_TELEMETRY": "true", **more}


def _three() -> tuple[int, int, int]:
    server, staging, production = free_ports(3)
    return server, staging, production


@dataclass
class Node:
    """One home and what runs for it.

    `folder` is where commands run; `ports` are of server, staging and production; `settings` are `LOCKGATE_…` for `up`.
    Without `database` it is the file in the home. A home begins with the tables that a first start makes, which takes
    seconds, unless it is `from_nothing`.
    """

    tables: ClassVar[Callable[[], Path]]

    folder: Path
    ports: tuple[int, int, int] = field(default_factory=lambda: _three())
    policy: str | None = None
    process: subprocess.Popen[bytes] | None = None
    database: str | None = None
    from_nothing: bool = False
    # a client's transition may wait longer than by default: on a busy machine a model takes half a minute to load
    settings: dict[str, str] = field(default_factory=lambda: {"LOCKGATE_TRANSITION_WAIT": "100"})

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def log(self) -> str:
        """What `up` has printed so far."""
        return (self.folder / "up.log").read_text()

    def environment(self, **more: str) -> dict[str, str]:
        """For whoever is to talk to this node: Lockgate's and MLflow's clients."""
        told = {"LOCKGATE_HOME": str(self.home), "LOCKGATE_URL": self.url, "MLFLOW_TRACKING_URI": self.url}
        return clean_environment(**told, **more)

    def arguments(self) -> list[str]:
        server, staging, production = map(str, self.ports)
        told = ["--home", str(self.home), "--port", server, "--staging-port", staging, "--production-port", production]
        if self.policy is not None:
            file = self.folder / "lockgate.yaml"
            file.write_text(self.policy)
            told += ["--policy", str(file)]
        if self.database is not None:
            told += ["--database", self.database]
        return told

    def cli(self, *args: str, limit: float = COMMAND_LIMIT, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `lockgate …` to its end."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "lockgate.cli", *args], cwd=self.folder, env=self.environment(**environment),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, check=False,
        )  # fmt: skip

    def json(self, *args: str, limit: float = COMMAND_LIMIT) -> Any:
        """What `lockgate … --json` prints."""
        return json.loads(self.cli(*args, "--json", limit=limit).stdout)

    def start(self) -> Node:
        """Start `lockgate up` and wait until it is ready."""
        self.begin()
        until(
            lambda: self.answers("/ready") or self.process is None or self.process.poll() is not None,
            "/ready",
            READY_LIMIT,
        )
        assert self.process is not None
        assert self.process.poll() is None, self.log
        return self

    def begin(self) -> subprocess.Popen[bytes]:
        """Start `lockgate up` without waiting."""
        file = self.home / "lockgate.db"
        if self.database is None and not self.from_nothing and not file.exists():
            self.home.mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(Node.tables(), file)
            file.chmod(0o600)
        with (self.folder / "up.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "lockgate.cli", "up", *self.arguments()],
                cwd=self.folder, env=clean_environment(PYTHONUNBUFFERED="1", **self.settings),
                stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        return self.process

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End `up` with a signal and give its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_LIMIT)

    def answers(self, path: str, port: int | None = None) -> bool:
        """Whether a port (the server's when None) answers that path with 200."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port or self.ports[0]}{path}", timeout=2) as response,
        ):
            return bool(response.status == 200)
        return False

    def pid(self, role: str) -> int:
        """The process in that role: up, server, controller or agent; 0 when none is noted."""
        with contextlib.suppress(OSError, ValueError):
            return int(json.loads((self.home / "run" / f"{role}.json").read_text())["pid"])
        return 0

    @contextlib.contextmanager
    def reaching_past(self) -> Iterator[Connection]:
        """A transaction in the database, past every process of the node."""
        engine = create_engine(self.database or f"sqlite:///{self.home}/lockgate.db")
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def pids(self) -> dict[int, str]:
        """Every process of this home that runs, with its command line: it names the home, or works inside it."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                        continue
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if str(self.home) in command or (entry / "cwd").readlink().is_relative_to(self.home):
                        found[int(entry.name)] = command
        return found

    def workers(self) -> list[int]:
        """The workers of this home that run."""
        # by where they work: forked ones have the command line of the process that forked them
        place = self.home / "run" / "workers"
        found = []
        for pid in self.pids():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cwd").readlink().is_relative_to(place):
                    found.append(pid)
        return found

    def end(self) -> None:
        """Stop everything, whatever the test has done to it; fails when something is left behind."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self.cli("down", "--home", str(self.home))
        try:
            until(lambda: not self.pids(), "the end of everything that ran", 15.0)
        finally:
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def node_in(folder: Path, policy: str | None = None, database: str | None = None) -> Iterator[Node]:
    """A node that is not started yet, and ends with the block."""
    node = Node(folder, policy=policy, database=database)
    try:
        yield node
    finally:
        node.end()


@pytest.fixture(scope="session", autouse=True)
def _tables(tmp_path_factory: pytest.TempPathFactory) -> None:
    Node.tables = lambda: sqlite_template(shared_folder(tmp_path_factory), Template.STARTED)


@pytest.fixture
def node(tmp_path: Path, database_kind: str, new_database: NewDatabase) -> Iterator[Node]:
    """A home of the test's own, nothing started: `node.start()` does that."""
    with node_in(tmp_path, database=new_database(database_kind)) as made:
        yield made


@pytest.fixture(scope="session")
def shared_node(
    tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase
) -> Iterator[Callable[[str, str | None], Node]]:
    """A started node for each kind and policy, for the whole session."""
    started: dict[tuple[str, str | None], Node] = {}
    with contextlib.ExitStack() as stack:

        def shared(kind: str, policy: str | None) -> Node:
            if (kind, policy) not in started:
                folder = tmp_path_factory.mktemp(f"{kind}-node")
                made = stack.enter_context(node_in(folder, policy, new_database(kind)))
                started[kind, policy] = made.start()
            return started[kind, policy]

        yield shared


@pytest.fixture
def running(shared_node: Callable[[str, str | None], Node], database_kind: str) -> Node:
    """A node with its defaults (no policy file) for the whole session; tests share it and leave it running."""
    return shared_node(database_kind, None)


@pytest.fixture
def enforcing(shared_node: Callable[[str, str | None], Node], database_kind: str) -> Node:
    """As `running`, under a small policy that is enforced: metrics, tags, a few seconds in Staging, one approval."""
    return shared_node(database_kind, ENFORCING)


ENFORCING = """\
level: enforce
stages:
  Staging:
    requires:
      min_accuracy: 0.85
      validation_tests: [schema_test, inference_test]
      required_tags: [team]
  Production:
    requires:
      min_accuracy: 0.90
      previous_stage: Staging
      staging_duration_hours: 1s
      approval_required: {approvals: 1, not_the_requester: true}
governance:
  max_production_versions: 1
"""
