"""Loading what the tests of engines save."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> Iterator[None]:
    import mlflow.pyfunc.scoring_server  # noqa: F401 - slow, so not inside the first test's time

    was = logging.root.manager.disable
    logging.disable(logging.WARNING)
    yield
    logging.disable(was)


@pytest.fixture
def load() -> Callable[[Path], Any]:
    """A saved model as `mlflow.pyfunc` loads it."""

    def loaded(folder: Path) -> Any:
        import mlflow.pyfunc

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return mlflow.pyfunc.load_model(str(folder))

    return loaded
