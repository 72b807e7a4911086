"""A world of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.schema import prepare
from tests.contracts.databases import copy_of, mlflow_template
from tests.integration.usecases.world import World


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables and nothing in them, to be copied."""
    made = copy_of(mlflow_template(tmp_path_factory), tmp_path_factory.mktemp("template"))
    engine = make_engine(f"sqlite:///{made}")
    prepare(engine)
    engine.dispose()
    return made


@pytest.fixture
def world(template: Path, tmp_path: Path) -> Iterator[Callable[[str], World]]:
    """`world(policy)`: built by the test, since what differs between tests is the policy."""
    made: list[World] = []

    def build(policy: str = "") -> World:
        made.append(World(template, tmp_path, policy))
        return made[-1]

    yield build
    for each in made:
        each.engine.dispose()
