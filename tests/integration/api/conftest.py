"""The API over a real database file, answering real HTTP on a free port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from lockgate.adapters.identity.passwords import Argon2Passwords
from lockgate.adapters.policyfile import parse_policy
from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.system import SortableIds, SystemClock
from lockgate.domain.identity import Who
from lockgate.domain.versions import VersionRef
from lockgate.sdk.client import Lockgate
from lockgate.server.api.app import create_api
from lockgate.server.identity import Identity
from lockgate.testing.artifacts import ArtifactsInMemory
from lockgate.usecases import apply_policy
from lockgate.usecases.ports import Ports
from lockgate.usecases.prediction_ports import PredictionLog
from lockgate.wire.requests import PREFIX
from tests.contracts.databases import Mlflow
from tests.databases.backends import Database, SqliteBackend
from tests.databases.postgres import shared_folder

POLICY = """
level: enforce
stages:
  Staging:
    requires: {required_tags: [team]}
  Production:
    requires:
      required_tags: [team]
      previous_stage: Staging
      approval_required: {approvals: 1, not_the_requester: true}
endpoints: {"*": {serve: off}}
"""
SETUP = Who("setup", via="test")


@dataclass
class Machine:
    """A server's address, and what lies behind it."""

    url: str
    ports: Ports
    mlflow: Mlflow
    artifacts: ArtifactsInMemory

    def as_(self, name: str) -> Lockgate:
        return Lockgate(self.url, name, timeout=20)

    def register(self, model: str, version: int, **tags: str) -> VersionRef:
        """A version as it is after its registration, in stage None."""
        ref, location = VersionRef(model, version), f"mem:/{model}/{version}"
        if version == 1:
            self.mlflow.model(model)
        self.mlflow.version(model, version, location=location, tags=tags)
        self.artifacts.put(location)
        with self.ports.store.writing(model) as work:
            work.versions.add_model(model)
            work.versions.register(ref, SETUP, datetime.now(UTC))
        return ref


@pytest.fixture
def machine(database: Database) -> Iterator[Machine]:
    """A server of the test's own."""
    with running(database) as machine:
        yield machine


@pytest.fixture(scope="session")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One server for all questions that change nothing. It knows fraud@1."""
    backend = SqliteBackend(tmp_path_factory.mktemp("still"), shared_folder(tmp_path_factory))
    with running(backend.fresh()) as machine:
        machine.register("fraud", 1, team="risk")
        yield machine
    backend.close()


@contextmanager
def running(database: Database, log: PredictionLog | None = None) -> Iterator[Machine]:
    """A server on that database, until the block ends."""
    engine = database.engine
    store, artifacts = SqlStore(engine, parse_policy), ArtifactsInMemory()
    ports = Ports(
        store=store,
        queue=SqlQueue(store),
        artifacts=artifacts,
        clock=SystemClock(),
        ids=SortableIds(),
        owner="test",
        started_at=datetime.now(UTC),
    )
    apply_policy.apply(ports, POLICY, parse_policy, SETUP)
    api = create_api(ports, Argon2Passwords(), parse_policy=parse_policy, prediction_log=log)
    with listening(Identity(Starlette(routes=[Mount(PREFIX, app=api)]))) as url:
        yield Machine(url, ports, Mlflow(engine), artifacts)


class listening:  # noqa: N801 - used as a word: with listening(app) as url
    """An application on a free port of loopback, until the block ends."""

    def __init__(self, app: object) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="off", log_config=None)  # type: ignore[arg-type]
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)
        self._socket.close()
        assert not self._thread.is_alive(), "the server did not stop"
