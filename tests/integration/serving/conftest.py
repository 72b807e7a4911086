"""The models and the machine that the serving tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.usecases.program_ports import Programs
from tests.integration.serving.machine import Machine
from tests.integration.serving.models import Models, make_models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def machine(tmp_path: Path, models: Models, programs: Programs) -> Iterator[Machine]:
    """An agent that works in a thread of this process on real workers, ended whatever happens."""
    machine = Machine(tmp_path / "run" / "workers", models, programs)
    try:
        yield machine
    finally:
        machine.end()
