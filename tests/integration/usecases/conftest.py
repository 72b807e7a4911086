"""A world of the test's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.databases.backends import Backend
from tests.integration.usecases.world import World


@pytest.fixture
def world(backend: Backend) -> Callable[[str], World]:
    """`world(policy)`: built by the test, since what differs between tests is the policy."""

    def build(policy: str = "") -> World:
        return World(backend.fresh(), policy)

    return build
