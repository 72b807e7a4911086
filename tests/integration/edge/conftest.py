"""A loop that all tests of the edge share, and edges on it that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.integration.edge.edges import Loop, Served


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.end()


@pytest.fixture
def serve(loop: Loop) -> Iterator[Callable[..., Served]]:
    """`serve("lockgate", Limits(…))`: an edge of that kind on a free port."""
    started: list[Served] = []

    def start(kind: str = "lockgate", *args: object, **more: object) -> Served:
        started.append(Served(loop, kind, *args, **more))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for each in started:
        each.end()
