"""A world of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contracts.databases import mlflow_template
from tests.integration.usecases.world import World


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlflow_template(tmp_path_factory)


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
