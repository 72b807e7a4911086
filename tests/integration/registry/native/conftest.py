"""A small registry, read by MLflow's own store and by ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.databases.backends import Database
from tests.integration.registry.native.content import Pair, fill, pair


@pytest.fixture
def filled(database: Database) -> Iterator[Pair]:
    """Both stores on a database of its own."""
    fill(database.engine)
    with pair(database) as both:
        yield both
