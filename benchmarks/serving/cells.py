"""What is measured, and what was hoped for: the ratios of the design."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.serving.content import BOOSTER, FOREST, LOGISTIC, MODELS, ROWS
from benchmarks.serving.sides import NATIVE, ONNX

CONNECTIONS = (1, 8, 64)
GOALS = {
    (NATIVE, LOGISTIC): 15.0,
    (NATIVE, FOREST): 100.0,
    (NATIVE, BOOSTER): 200.0,
    (ONNX, LOGISTIC): 120.0,
    (ONNX, FOREST): 500.0,
    (ONNX, BOOSTER): 300.0,
}
"""How many times the requests per second of `mlflow models serve`, one row, 8 connections."""
MOST_PROCESSOR = 3.0  # times the processor time of a static reply, for one row by ONNX, 8 connections


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of request. `model` empty: the static reply."""

    model: str
    rows: int
    connections: int

    @property
    def name(self) -> str:
        if not self.model:
            return f"static reply, c={self.connections}"
        return f"{self.model}, {self.rows} row{'s' if self.rows > 1 else ''}, c={self.connections}"


def cells(only: str = "") -> tuple[Cell, ...]:
    """The cells of one round whose name contains `only`; the static reply always."""
    static = [Cell("", 0, connections) for connections in CONNECTIONS]
    asked = [Cell(model, rows, c) for model in MODELS for rows in ROWS for c in CONNECTIONS]
    return (*static, *(cell for cell in asked if only in cell.name))
