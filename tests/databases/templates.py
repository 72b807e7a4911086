"""What a new database can hold from the start, each kind made once for a test run."""

from __future__ import annotations

import subprocess
import sys
from enum import Enum

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


class Template(Enum):
    """Nothing; MLflow's tables, made by MLflow itself, without a row of the registry; those and Lockgate's tables."""

    EMPTY = "empty"
    MLFLOW = "mlflow"
    READY = "ready"

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
            # a process of its own: MLflow takes seconds to import, and settings stay as they are
            command = [sys.executable, "-W", "ignore", "-c", _MAKE_MLFLOW_TABLES, uri]
            made = subprocess.run(command, check=False, timeout=_LIMIT, capture_output=True, text=True)
            assert made.returncode == 0, made.stderr
        case Template.READY:
            engine = make_engine(uri)
            prepare(engine)
            mlflow_indexes.ensure(engine)
            engine.dispose()
