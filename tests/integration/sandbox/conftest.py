"""Models saved once for all tests of the sandbox, and the sandbox itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lockgate.adapters.programs.forking import ForkedPrograms
from lockgate.adapters.sandbox.process import ProcessSandbox
from lockgate.domain.validation import SUITE, Examination, ExamineRequest
from lockgate.domain.versions import VersionRef

_MAKER = Path(__file__).with_name("build_models.py")

Examine = Callable[..., Examination]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one folder for each model, saved in a process of its own so that MLflow's warnings stay there."""
    folder = tmp_path_factory.mktemp("models")
    made = subprocess.run(
        [sys.executable, str(_MAKER), str(folder)], cwd=folder, capture_output=True, text=True, timeout=110, check=False
    )
    assert made.returncode == 0, made.stderr[-2000:]
    return folder


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.csv"
    path.write_text("age,income,debt\n1.0,0.5,0.25\n-1.0,0.0,0.5\n")
    return path


@pytest.fixture
def examine(models: Path, scratch: Path, programs: ForkedPrograms) -> Examine:
    """Examine one of the models by name (or a folder): `examine("bare", tests=(SCHEMA,))`."""

    def run(model: str | Path, tests: tuple[str, ...] = SUITE, seconds: float = 100.0, **more: Any) -> Examination:
        folder = models / model if isinstance(model, str) else model
        limits = {"time_limit": timedelta(seconds=seconds), "latency_limit": timedelta(seconds=5)}
        return ProcessSandbox(scratch, programs).examine(
            ExamineRequest(VersionRef("fraud", 7), str(folder), tests, **(limits | more))
        )

    return run
