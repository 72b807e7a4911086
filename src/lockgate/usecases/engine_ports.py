"""What the use cases need to measure engines and to keep what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from lockgate.domain.engines import Figures, Measurement
from lockgate.domain.versions import VersionRef


class Measurements(Protocol):
    """Measurement rows: a queue and its results."""

    def add(self, measurement: Measurement) -> None: ...

    def get(self, id: str) -> Measurement | None: ...

    def open_for(self, ref: VersionRef) -> Measurement | None:
        """The queued or running one, if any."""

    def latest(self, ref: VersionRef) -> Measurement | None:
        """The newest that is done."""

    def history(self, ref: VersionRef, limit: int = 100) -> Sequence[Measurement]:
        """Newest first."""

    def close_of_model(self, model: str, because: str, at: datetime) -> None:
        """End those that are queued or running, whoever holds their lease: the model is about to go."""


@dataclass(frozen=True, slots=True)
class MeasureRequest:
    """What is to be measured. `runtime` is another Python interpreter that has the model's libraries."""

    ref: VersionRef
    artifacts: Path
    time_limit: timedelta = timedelta(seconds=300)
    runtime: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out. `because` says why nothing did; `converted` is the digest of the ONNX file that passed."""

    figures: tuple[Figures, ...] = ()
    converted: str = ""
    because: str = ""


class Bench(Protocol):
    """Measures the engines of a model in a process of its own, and keeps converted files by their digest."""

    def measure(self, request: MeasureRequest) -> Measured:
        """Within the time limit and a few seconds. A model that cannot load, crashes or hangs is a reason.

        Raises Unavailable when no process can be started at all, or the converted file cannot be kept.
        """
