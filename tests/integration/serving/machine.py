"""One machine with an agent on it, and what a test asks of its endpoints."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from lockgate.adapters.processes.folder import RunFolder
from lockgate.adapters.processes.groups import ProcessGroups
from lockgate.adapters.processes.process import Process
from lockgate.agent.loop import Agent
from lockgate.domain.policy import EndpointRule
from lockgate.domain.serving import DesiredEndpoint, Endpoint, EndpointState, GroupState, ObservedGroup
from lockgate.testing.agent_ledger import FakeAgentLedger
from lockgate.usecases.program_ports import Programs
from lockgate.wire.workers import CommonToAll
from tests.integration.serving.models import COLUMNS, ROWS, Models

LIMIT = 120.0
PARK = timedelta(minutes=30)
SPLIT = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": ROWS}})


def until(holds: Callable[[], Any], what: str, seconds: float = LIMIT) -> Any:
    """Wait for a condition and give its value; fail saying `what` never came."""
    end = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.01)


@dataclass(frozen=True)
class Heard:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def version(self) -> str:
        return self.headers.get("x-lockgate-version", "")

    @property
    def told(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection, kept alive. A connection that the server announced to close is opened anew, and only then."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)

    def ask(self, path: str, body: str | bytes | None = None, method: str = "", **headers: str) -> Heard:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and "content-type" not in sent:
            sent["content-type"] = "application/json"
        self._connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
        answer = self._connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Heard(answer.status, told, answer.read())

    def predict(self) -> Heard:
        return self.ask("/invocations", SPLIT)

    def close(self) -> None:
        self._connection.close()


class Machine:
    """A ledger and an agent's thread, which can be ended and begun again."""

    def __init__(self, run: Path, models: Models, programs: Programs, common: CommonToAll | None = None) -> None:
        self.run = run
        self.common = common
        self.programs = programs
        self.models = models
        self.ledger = FakeAgentLedger()
        self._clients: list[Client] = []
        self._stop = threading.Event()
        self._leave = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start an agent."""
        self._stop, self._leave = threading.Event(), threading.Event()
        agent = Agent(self.ledger, ProcessGroups(self.run, self.programs, common=self.common), self.models.folder)
        self._thread = threading.Thread(target=agent.run, args=(self._stop,), kwargs={"leave_workers": self._leave})
        self._thread.start()

    def halt(self, *, leave_workers: bool = False) -> None:
        """End the agent."""
        if self._thread is not None:
            if leave_workers:
                self._leave.set()
            self._stop.set()
            self._thread.join(LIMIT)
            self._thread = None

    def end(self) -> None:
        """End the agent and, by pid, whatever it left."""
        for client in self._clients:
            client.close()
        self.halt()
        kill_leftovers(self.run)

    def want(
        self,
        *,
        workers: int = 1,
        timeout: float = 60.0,
        endpoint: str = "e1",
        port: int = 0,
        may_take_next: bool = True,
        park: timedelta = PARK,
        park_memory: int = 2 * 2**30,
        log_predictions: float = 0.0,
    ) -> None:
        """Add an endpoint that has no release yet."""
        rule = EndpointRule(
            workers=workers,
            timeout=timedelta(seconds=timeout),
            park=park,
            park_memory=park_memory,
            log_predictions=log_predictions,
        )
        self.ledger.want(desired(endpoint, rule, port, may_take_next))

    def port(self, endpoint: str = "e1") -> int:
        """The port it got, once it has one."""
        found: int = until(lambda: self.ledger.endpoint(endpoint).port, "binding a port")
        return found

    def client(self, endpoint: str = "e1") -> Client:
        """A new connection, closed with the machine."""
        client = Client(self.port(endpoint))
        self._clients.append(client)
        return client

    def serve(self, release: Any) -> None:
        """Commit a release and wait until it serves alone."""
        generation = self.ledger.commit(release.endpoint, release)
        until(lambda: self.ledger.endpoint(release.endpoint).acknowledged == generation, f"{release.id} serving")

    def seen(self, release: str, state: GroupState, endpoint: str = "e1", *, pids: int = 0) -> ObservedGroup:
        """What is reported of a release, once it is in that state with so many workers at least."""

        def there() -> ObservedGroup | None:
            group = self.ledger.observed(endpoint).get(release)
            return group if group is not None and group.state is state and len(group.pids) >= pids else None

        found: ObservedGroup = until(there, f"{release} {state}")
        return found


def desired(endpoint: str, rule: EndpointRule, port: int, may_take_next: bool) -> DesiredEndpoint:
    """An endpoint as the record wants it, without a release."""
    return DesiredEndpoint(
        Endpoint(endpoint, "production", "fraud model", None, None, 0, 0, EndpointState.PENDING),
        host="127.0.0.1",
        preferred_port=port,
        may_take_next=may_take_next,
        rule=rule,
    )


def kill_leftovers(run: Path) -> None:
    """Kill the workers on record in a run folder, each by its pid and start time."""
    for record in list(RunFolder(run).records()):
        process = Process.find(record.pid, record.started)
        if process is not None:
            process.send(signal.SIGKILL)
            process.wait(LIMIT)
            process.close()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(record.pid, 0)
