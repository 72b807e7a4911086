"""What was measured of a version's engines, as the API answers and asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from lockgate.wire.shapes import Who

MEASUREMENT_OVER = frozenset({"done", "error"})


@dataclass(frozen=True, slots=True)
class Parity:
    """How an engine compared with MLflow's own way on `rows` rows, `turning` of them where answers turn.

    `different` got another answer. `fine` did too, and only a float64 can tell them from a neighbour on the other side.
    `largest` is the largest difference between two numbers.
    """

    rows: int
    turning: int
    different: int
    fine: int
    largest: float
    passed: bool


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """One engine, in microseconds a call in process. `because` says why it does not apply to the version."""

    engine: str
    applies: bool
    because: str = ""
    how: str = ""
    one_row_us: float = 0.0
    one_row_p95_us: float = 0.0
    hundred_rows_us: float = 0.0
    rows_per_second: float = 0.0
    parity: Parity | None = None


@dataclass(frozen=True, slots=True)
class EngineMeasurement:
    """One measuring of all engines of a version, about the artifacts with `digest`.

    `state` is queued, running, done or error. `converted` is the digest of the ONNX file that passed, if one did.
    """

    id: str
    model: str
    version: int
    state: str
    asked_by: Who
    asked_at: datetime
    digest: str | None = None
    engines: tuple[EngineFigures, ...] = ()
    converted: str = ""
    because: str = ""
    finished_at: datetime | None = None

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"

    @property
    def is_over(self) -> bool:
        return self.state in MEASUREMENT_OVER


@dataclass(frozen=True, slots=True)
class EngineMeasurementList:
    """Newest first."""

    measurements: tuple[EngineMeasurement, ...]


@dataclass(frozen=True, slots=True)
class EnginesAsk:
    """Measure the engines of a version, or join the measuring under way."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    model: str
    version: int
