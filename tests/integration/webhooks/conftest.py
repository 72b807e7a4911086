"""A store of either kind, and a receiver that is really called."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from lockgate.adapters.sql.store import SqlStore
from tests.contracts.makers import Parser
from tests.databases.backends import Database
from tests.integration.webhooks.receiver import Receiver, receiver


@pytest.fixture
def engine(database: Database) -> Engine:
    return database.engine


@pytest.fixture
def store(engine: Engine) -> SqlStore:
    return SqlStore(engine, Parser())


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def other_hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made
