"""What every test may ask for: how many rounds a property runs, and a database of its own, of either kind."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lockgate.adapters.programs.forking import ForkedPrograms
from tests.databases import postgres as postgres_of_the_run
from tests.databases.backends import POSTGRESQL, SQLITE, Backend, Database, NewDatabase, PostgresBackend, SqliteBackend
from tests.databases.postgres import Postgres
from tests.databases.reuse import Shelf
from tests.databases.templates import Template

# no deadline: a busy machine must not fail a property that holds
settings.register_profile("short", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run every property with its full number of rounds")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "short")


def pytest_unconfigure() -> None:
    postgres_of_the_run.sweep()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked long, unless it was asked for; what takes minutes first, so that no core ends alone."""
    items.sort(key=lambda item: ("e2e" not in item.path.parts, "integration" not in item.path.parts))
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of processes run on SQLite; those marked with `both_databases` on PostgreSQL too, `long` ones if asked."""
    if "database_kind" not in metafunc.fixturenames:
        return
    marked = metafunc.definition.get_closest_marker("both_databases")
    marks = [pytest.mark.long] if marked and marked.kwargs.get("long") else []
    kinds = [SQLITE, pytest.param(POSTGRESQL, marks=marks)] if marked else [SQLITE]
    metafunc.parametrize("database_kind", kinds, indirect=True, scope="session")


@pytest.fixture(autouse=True)
def _our_loggers_speak() -> None:
    """Libraries that set up logging in this process silence ours; what a test looks for must be heard all the same."""
    logging.disable(logging.NOTSET)
    for name, logger in logging.Logger.manager.loggerDict.items():
        if name.partition(".")[0] == "lockgate" and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def rounds(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """`rounds(3, 30)`: 3 rounds in `make test`, 30 in `make test-long`."""

    def choose(short: int, full: int) -> int:
        return full if pytestconfig.getoption("--long") else short

    return choose


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder by which all processes of the run share one fork server: it imports MLflow once for all of them."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "forks"


@pytest.fixture(scope="session")
def programs(forks: Path) -> Iterator[ForkedPrograms]:
    """Starts workers and examinations, forked from that fork server."""
    programs = ForkedPrograms(forks)
    yield programs
    programs.close()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real PostgreSQL, the same for the whole run: `postgres.fresh(Template.MLFLOW)` is the URI of a new database."""
    server = postgres_of_the_run.running(tmp_path_factory)
    yield server
    server.drop_all()


@pytest.fixture(scope="session")
def _shelf(postgres: Postgres) -> Shelf:
    return Shelf(postgres)


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Gives new databases: `backend.fresh(Template.READY)`. A test that asks for it runs on both kinds."""
    if request.param == POSTGRESQL:
        made: Backend = PostgresBackend(request.getfixturevalue("_shelf"))
    else:
        folder: Path = request.getfixturevalue("tmp_path")
        made = SqliteBackend(folder, postgres_of_the_run.shared_folder(tmp_path_factory))
    yield made
    made.close()


@pytest.fixture
def database(backend: Backend) -> Database:
    """A database with MLflow's tables and Lockgate's, and nothing in them: `database.uri`, `database.engine`."""
    return backend.fresh()


@pytest.fixture(scope="session")
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database the processes of a test have."""
    return str(request.param)


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    """`new_database(database_kind)`: what to tell a new node of that kind; None is the file in its home.

    It holds what a first start makes, which takes seconds.
    """

    def new(kind: str) -> str | None:
        if kind == SQLITE:
            return None
        postgres: Postgres = request.getfixturevalue("postgres")
        return postgres.fresh(Template.STARTED)

    return new
