"""The command line starts quickly because it imports little."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "mlflow",
    "sqlalchemy",
    "fastapi",
    "pydantic",
    "alembic",
    "numpy",
    "pandas",
    "uvicorn",
    "httpx2",
    "yaml",
    "structlog",
)


def test_the_help_imports_nothing_heavy() -> None:
    # a fresh interpreter: in this one other tests have imported all of it
    script = "import sys, lockgate.cli.main; print([name for name in sys.argv[1:] if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script, *HEAVY], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
