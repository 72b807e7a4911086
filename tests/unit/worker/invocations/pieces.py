"""Pieces that the tests of invocations share: an engine without a model, and signatures without MLflow."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from lockgate.worker.engines.engine import Accepts
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.invocations.bodies import Bodies
from lockgate.worker.invocations.signature import Columns

FLOAT: Any = float | None
UNSIGNED: Any = int | float


def columns(*names: str, values: Any = FLOAT, signed: bool = True) -> Columns:
    """So many columns of one type of values."""
    return Columns((values,) * len(names), names, signed=signed, settle=lambda matrix: matrix)


def unnamed(count: int, values: Any = UNSIGNED, *, signed: bool = False) -> Columns:
    return Columns((values,) * count, None, signed=signed, settle=lambda matrix: matrix)


def bodies(told: Columns, *, params_are_ignored: bool = True, integers: bool = True) -> Bodies:
    return Bodies(told, params_are_ignored=params_are_ignored, integers=integers)


class Sums:
    """An engine that sums each row, raises for rows with a 13 in them, and may be held up."""

    name = "native"
    how = "sums"
    outputs: tuple[str, ...] | None = None

    def __init__(self, features: int = 2, *, rowwise: bool = True) -> None:
        self.features = features
        self.rowwise = rowwise
        self.accepts = Accepts(frames=True, arrays=True)
        self.asked: list[int] = []
        self.threads: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def predict(self, rows: Any) -> Any:
        self.go_on.wait(30)
        self.asked.append(len(rows))
        self.threads.append(threading.current_thread().name)
        if (rows == 13).any():
            raise ValueError("13")
        return np.sum(rows, axis=1)


class Silent:
    """An observer that counts predictions."""

    def __init__(self) -> None:
        self.predictions: list[tuple[int, int]] = []

    def answered(self, request: Request, answer: Answer, seconds: float, *, invocation: bool) -> None:
        pass

    def predicted(self, requests: int, rows: int, seconds: float) -> None:
        self.predictions.append((requests, rows))

    def waiting(self, requests: int) -> None:
        pass

    def passed(self, how: str) -> None:
        pass

    def text(self, *, alone: bool = False) -> bytes:
        return b""


def request(body: bytes = b"") -> Request:
    return Request(b"POST", b"/invocations", b"", [], body, b"application/json")
