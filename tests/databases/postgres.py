"""The PostgreSQL of a test run: one server for all its processes, and new databases in it within milliseconds.

The server is the one that `LOCKGATE_TEST_POSTGRES` names (a superuser's address), else one of our own, which a keeper
process stops when the test run is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.databases.templates import Template, fill

GIVEN = "LOCKGATE_TEST_POSTGRES"
_KEEPER = Path(__file__).with_name("server.py")
_LIMIT = 90.0


class Postgres:
    """A running PostgreSQL that new databases are asked of, from any thread."""

    def __init__(self, uri: str, shared: Path) -> None:
        self._uri = uri
        self._shared = shared
        # of this run and of this process: several runs may share a server
        self._run = _run()
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._made: set[str] = set()

    def fresh(self, template: Template = Template.EMPTY) -> str:
        """The URI of a new database made of that template; it is dropped by `drop`, or at the end of the run."""
        with self._lock:
            return self._copy(self._template(template))

    def copy(self, uri: str) -> str:
        """The URI of a new database that holds what another one here holds, to which nobody may be connected."""
        with self._lock:
            return self._copy(urlsplit(uri).path.removeprefix("/"))

    @contextlib.contextmanager
    def database(self, template: Template = Template.EMPTY) -> Iterator[str]:
        """A new database that is dropped after the block, whoever is still connected."""
        uri = self.fresh(template)
        try:
            yield uri
        finally:
            self.drop(uri)

    def drop(self, uri: str) -> None:
        """Drop a database, ending every session in it. Nothing happens when it is gone."""
        name = urlsplit(uri).path.removeprefix("/")
        with self._lock:
            self._do(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            self._made.discard(name)

    def drop_all(self) -> None:
        """Drop every database that this process made and has not dropped yet."""
        for name in sorted(self._made):
            self.drop(self.uri(name))

    def uri(self, name: str) -> str:
        """The address of a database here, its password included."""
        return urlsplit(self._uri)._replace(path=f"/{name}").geturl()

    def _copy(self, source: str) -> str:
        name = f"{self._run}_{os.getpid()}_{next(self._numbers)}"
        words = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source))
        try:
            self._do(words)
        except psycopg.errors.DuplicateDatabase:
            # left on somebody's server by a run that was killed, whose number came round again
            self._do(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            self._do(words)
        self._made.add(name)
        return self.uri(name)

    def _template(self, template: Template) -> str:
        """The name of a database that holds what the template says: made once for the run."""
        if template is Template.EMPTY:
            return "template1"
        name = f"{self._run}_{template.value}"
        done = self._shared / f"{name}.done"
        if not done.exists():
            with _alone(self._shared / f"{name}.lock"):
                if not done.exists():
                    self._do(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
                    # each is made of the one before
                    source = self._template(template.before)
                    words = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
                    self._do(words.format(sql.Identifier(name), sql.Identifier(source)))
                    fill(template, self.uri(name))
                    # nobody may be connected to a database that another is made of
                    self._do(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
                    done.touch()
        return name

    def _do(self, words: sql.Composed) -> None:
        with psycopg.connect(self._uri, autocommit=True, connect_timeout=20) as connection:
            connection.execute(words)


def running(tmp_path_factory: pytest.TempPathFactory) -> Postgres:
    """The run's server, started when nobody has yet asked for it."""
    shared = shared_folder(tmp_path_factory)
    given = os.environ.get(GIVEN)
    return Postgres(given if given else _kept(shared), shared)


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the whole run: under xdist every worker has one of its own inside it."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


def sweep() -> None:
    """Drop what this run has made on a server that goes on without it. For the process the run ends with."""
    uri = os.environ.get(GIVEN)
    if uri is None or "PYTEST_XDIST_WORKER" in os.environ:
        return
    with psycopg.connect(uri, autocommit=True, connect_timeout=20) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [_run() + "_"])
        for (name,) in found.fetchall():
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _kept(shared: Path) -> str:
    state = shared / "postgres.json"
    with _alone(shared / "postgres.lock"):
        if not state.exists():
            with (shared / "postgres.log").open("ab") as log:
                subprocess.run(
                    [sys.executable, "-P", _KEEPER, state, str(_controller())], check=True, timeout=_LIMIT,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            give_up = time.monotonic() + _LIMIT
            while not state.exists():
                if time.monotonic() > give_up:
                    raise RuntimeError(f"no PostgreSQL within {_LIMIT:g} s:\n{(shared / 'postgres.log').read_text()}")
                time.sleep(0.02)
    told = json.loads(state.read_text())
    if "error" in told:
        raise RuntimeError(f"no PostgreSQL for the tests: {told['error']}")
    return str(told["uri"])


def _run() -> str:
    """How every database of this run is called."""
    return f"lockgate_test_{_controller()}"


def _controller() -> int:
    """The process that the whole run ends with: under xdist the one that started this one."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
