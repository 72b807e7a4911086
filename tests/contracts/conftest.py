"""The stores that the contracts are tested on: real files with MLflow's real tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.schema import prepare
from lockgate.adapters.sql.store import SqlStore
from tests.contracts.databases import Mlflow, copy_of, mlflow_template
from tests.contracts.makers import HandClock, Parser


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables and ours, empty."""
    path = copy_of(mlflow_template(tmp_path_factory), tmp_path_factory.mktemp("prepared"))
    engine = make_engine(f"sqlite:///{path}")
    prepare(engine)
    engine.dispose()
    return path


@pytest.fixture
def engine(template: Path, tmp_path: Path) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{copy_of(template, tmp_path)}")
    yield engine
    engine.dispose()


@pytest.fixture
def mlflow(engine: Engine) -> Mlflow:
    return Mlflow(engine)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def parser() -> Parser:
    return Parser()


@pytest.fixture
def store(engine: Engine, parser: Parser, clock: HandClock) -> SqlStore:
    return SqlStore(engine, parser, clock=clock)


@pytest.fixture
def queue(store: SqlStore) -> SqlQueue:
    return SqlQueue(store)


@pytest.fixture
def fraud(mlflow: Mlflow) -> str:
    """A model with two versions that MLflow knows and Lockgate does not yet."""
    mlflow.model("fraud")
    mlflow.version("fraud", 1)
    mlflow.version("fraud", 2)
    return "fraud"
