"""What a new database can hold from the start, each kind made once for a test run."""

from __future__ import annotations

import os
import subprocess
import sys
from enum import Enum
from tempfile import TemporaryDirectory

from lockgate.adapters.sql import mlflow_indexes
from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.schema import prepare

_LIMIT = 110
_MAKE_MLFLOW_TABLES = """
import sys
from sqlalchemy import create_engine
from mlflow.store.db.utils import _initialize_tables
engine = create_engine(sys.argv[1])
_initialize_tables(engine)
engine.dispose()
"""

# what the first `lockgate up` does to a new database
_START = """
import sys
from lockgate import wiring
from lockgate.adapters.mlflow import schema
from lockgate.config import load
settings = load({"database": sys.argv[1], "home": sys.argv[2]})
wiring.prepare(settings)
schema.prepare(settings.database, print)
wiring.prepare(settings)
"""


class Template(Enum):
    """Nothing; MLflow's tables, made by MLflow itself, without a row of the registry; those and Lockgate's tables;
    what a first start of Lockgate makes of an empty database.
    """

    EMPTY = "empty"
    MLFLOW = "mlflow"
    READY = "ready"
    STARTED = "started"

    @property
    def before(self) -> Template:
        """The one that this one is made of."""
        return Template.MLFLOW if self is Template.READY else Template.EMPTY


def fill(template: Template, uri: str) -> None:
    """Bring a database that holds what `template.before` says to what `template` says. Nobody is connected after it."""
    match template:
        case Template.EMPTY:
            pass
        case Template.MLFLOW:
            _run(_MAKE_MLFLOW_TABLES, uri)
        case Template.STARTED:
            with TemporaryDirectory() as home:
                _run(_START, uri, home)
        case Template.READY:
            engine = make_engine(uri)
            prepare(engine)
            mlflow_indexes.ensure(engine)
            engine.dispose()


def _run(program: str, *told: str) -> None:
    """In a process of its own, in an empty folder: MLflow takes seconds to import, and settings stay as they are."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOCKGATE_", "MLFLOW_"))}
    with TemporaryDirectory() as folder:
        made = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program, *told], env=kept, cwd=folder,
            check=False, timeout=_LIMIT, capture_output=True, text=True,
        )  # fmt: skip
    assert made.returncode == 0, made.stderr
