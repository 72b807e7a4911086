"""The ways in which a worker can compute what a version predicts, and what was measured of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lockgate.domain.identity import Who
from lockgate.domain.policy import EndpointRule, EngineKind
from lockgate.domain.versions import VersionRef

_CONVERTED = re.compile(r"sha256:[0-9a-f]{64}")
OF_OLD = "mlflow"
"""What a release said before there was a choice: MLflow's own way."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What computes for a release. `converted` is the digest of the ONNX file, empty for the other engines."""

    kind: EngineKind
    converted: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.converted}" if self.converted else self.kind.value

    @classmethod
    def parse(cls, text: str) -> Engine:
        """Read what `str` gives, or what an earlier release of Lockgate wrote. What is unknown is MLflow's own way."""
        kind, _, converted = text.partition(" ")
        if kind == EngineKind.ONNX and _CONVERTED.fullmatch(converted):
            return cls(EngineKind.ONNX, converted)
        return cls(EngineKind.NATIVE) if text == EngineKind.NATIVE else cls(EngineKind.PYFUNC)


@dataclass(frozen=True, slots=True)
class Parity:
    """How an engine compared with MLflow's own way on `rows` rows, `turning` of which lie where answers turn.

    `different` is how many got another answer. `fine` is how many did of those that only a float64 can tell from a
    neighbour with the other answer: they do not fail a converted model, which reads float32. `largest` is the largest
    difference between two numbers.
    """

    rows: int
    turning: int
    different: int
    fine: int
    largest: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one engine in process, in microseconds a call. `because` says why it does not apply."""

    engine: EngineKind
    applies: bool
    because: str = ""
    how: str = ""
    one_row_us: float = 0.0
    one_row_p95_us: float = 0.0
    hundred_rows_us: float = 0.0
    rows_per_second: float = 0.0
    parity: Parity | None = None


class MeasurementState(StrEnum):
    """Where a measurement is. `ERROR`: the version could not be measured, for the reason given."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    ERROR = "error"

    @property
    def is_over(self) -> bool:
        return self in (MeasurementState.DONE, MeasurementState.ERROR)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measuring of all engines of one version, about the artifacts with `digest`.

    `converted` is the digest of an ONNX file that passed the parity test, empty where none did.
    """

    id: str
    ref: VersionRef
    state: MeasurementState
    asked_by: Who
    asked_at: datetime
    digest: str | None = None
    figures: tuple[Figures, ...] = ()
    converted: str = ""
    because: str = ""
    finished_at: datetime | None = None


def engine_for(rule: EndpointRule, digest: str | None, measured: Measurement | None) -> Engine:
    """The engine of a release under a rule. `measured` is the newest measurement of the version that is done.

    ONNX only where the rule asks for it and a file passed that was converted from these very artifacts; else the
    native engine, whose answers are MLflow's.
    """
    if rule.engine is not EngineKind.ONNX:
        return Engine(rule.engine)
    if measured is None or not measured.converted or digest is None or measured.digest != digest:
        return Engine(EngineKind.NATIVE)
    return Engine(EngineKind.ONNX, measured.converted)
