"""A database of the test's own that stock MLflow has made and filled, on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from lockgate import wiring
from lockgate.cli import outcome
from lockgate.cli.main import cli
from lockgate.config import Settings, load
from tests.databases.backends import POSTGRESQL, SQLITE
from tests.databases.postgres import Postgres
from tests.databases.templates import Template
from tests.integration.adopt.seeding import Stock, rows, seed


@dataclass(frozen=True)
class Seeded:
    """The databases to copy, what MLflow says of its schema, and where the artifacts lie."""

    file: Path
    postgres: str
    schema: dict[str, Any]


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Seeded:
    folder = tmp_path_factory.mktemp("stock")
    file, uri = folder / "mlflow.db", postgres.fresh(Template.EMPTY)
    # MLflow's dialect of the address: this test run's driver is psycopg 3, as SQLAlchemy's default is
    told = seed(folder / "artifacts", f"sqlite:///{file}", uri)
    return Seeded(file, uri, told)


@dataclass
class Adoptable:
    """One database that stock MLflow made, and what Lockgate does with it."""

    uri: str
    home: Path

    @property
    def kind(self) -> str:
        return SQLITE if self.uri.startswith("sqlite") else POSTGRESQL

    @property
    def path(self) -> Path:
        return Path(self.uri.removeprefix("sqlite:///"))

    @property
    def stock(self) -> Stock:
        return Stock(self.uri)

    def settings(self, policy: str | None = None) -> Settings:
        told: dict[str, Any] = {"home": self.home, "database": self.uri, "policy": None}
        if policy is not None:
            told["policy"] = self.home.parent / "lockgate.yaml"
            told["policy"].write_text(policy)
        return load(told)

    def adopt(self, policy: str | None = None) -> None:
        """What every start does first."""
        wiring.prepare(self.settings(policy))

    def actions(self) -> list[str]:
        return [row[0] for row in rows(self.uri, "SELECT action FROM lockgate_audit ORDER BY id")]


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def database(request: pytest.FixtureRequest, seeded: Seeded, postgres: Postgres, tmp_path: Path) -> Iterator[Adoptable]:
    home = tmp_path / "home"
    if request.param == SQLITE:
        path = tmp_path / "adopted" / "mlflow.db"
        path.parent.mkdir()
        shutil.copyfile(seeded.file, path)
        path.chmod(0o600)
        yield Adoptable(f"sqlite:///{path}", home)
        return
    uri = postgres.copy(seeded.postgres)
    yield Adoptable(uri, home)
    postgres.drop(uri)


@pytest.fixture
def node(database: Adoptable) -> Iterator[Callable[[], wiring.Node]]:
    """`node()` is a process's parts on the database, as it starts; the engine is closed at the end."""
    engines: list[Engine] = []

    def start() -> wiring.Node:
        made = wiring.Node(database.settings(), "test")
        engines.append(made.store.engine)
        return made

    yield start
    for engine in engines:
        engine.dispose()


@dataclass
class Printed:
    code: int
    out: str
    err: str


@pytest.fixture
def lockgate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Printed]:
    """`lockgate("doctor", …)` runs the command in this process."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOCKGATE_HOME", "LOCKGATE_DATABASE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> Printed:
        code = outcome.run(cli, arguments)
        said = capsys.readouterr()
        return Printed(code, said.out, said.err)

    return call
