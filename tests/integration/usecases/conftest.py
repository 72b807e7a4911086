"""A world of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.databases import postgres as postgres_of_the_run
from tests.databases.backends import Backend, SqliteBackend
from tests.integration.usecases.world import World


@pytest.fixture
def world(backend: Backend) -> Callable[[str], World]:
    """`world(policy)`: built by the test, since what differs between tests is the policy."""

    def build(policy: str = "") -> World:
        return World(backend.fresh(), policy)

    return build


@pytest.fixture
def quick(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], World]]:
    """As `world` on SQLite alone: for what no statement of its own decides."""
    backend = SqliteBackend(tmp_path, postgres_of_the_run.shared_folder(tmp_path_factory))

    def build(policy: str = "") -> World:
        return World(backend.fresh(), policy)

    yield build
    backend.close()
