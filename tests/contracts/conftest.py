"""The stores that the contracts are tested on: SQLite and PostgreSQL with MLflow's real tables."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.store import SqlStore
from tests.contracts.databases import Mlflow
from tests.contracts.makers import HandClock, Parser
from tests.databases.backends import Database


@pytest.fixture
def engine(database: Database) -> Engine:
    return database.engine


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
