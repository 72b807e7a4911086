"""Logged predictions and the labels that came for them, and what is needed of whoever keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Label:
    """What turned out to be right, as JSON text; `row` None is for the whole request."""

    time: datetime
    label: str
    row: int | None = None


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """One answered request with its bodies; `seconds` from its first byte to the answer. Labels: the oldest first."""

    time: datetime
    request_id: str
    model: str
    version: int
    release: str
    engine: str
    status: int
    rows: int
    seconds: float
    content_type: str
    input: str
    output: str
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Which predictions of a day (UTC) are wanted: `limit` of them, only those of `request_id` unless it is "".

    `after` is what a page said as its own, to go on where it ended.
    """

    day: date
    limit: int
    after: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Predictions, the newest first. `after` is empty when there are no more."""

    predictions: Sequence[LoggedPrediction]
    after: str = ""


class PredictionLog(Protocol):
    """What the workers of this machine logged."""

    def read(self, environment: str, model: str, asked: Asked) -> Page:
        """The predictions that were asked for. Raises BadInput for an `after` that no page said."""
        ...


class NothingLogged:
    """The log where none is kept."""

    def read(self, environment: str, model: str, asked: Asked) -> Page:  # noqa: ARG002 - the port's shape
        """Nothing, whatever was asked for."""
        return Page(())
