"""A database of the test's own, as in the contracts."""

from __future__ import annotations

from tests.contracts.conftest import clock, engine, fraud, mlflow, parser, queue, store

__all__ = ["clock", "engine", "fraud", "mlflow", "parser", "queue", "store"]
