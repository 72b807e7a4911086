"""Asking an endpoint without pause while its version changes, and counting what comes back."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

VERSION_HEADER = "X-Lockgate-Version"
ASKERS = 4
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Flowers:
    """Rows to ask about, and what one version itself says of each."""

    columns: Sequence[str]
    rows: Sequence[Sequence[float]]
    predictions: Sequence[int]

    @classmethod
    def read(cls, text: str) -> Flowers:
        told = json.loads(text)
        return cls(told["columns"], told["rows"], told["predictions"])

    def question(self, rows: Sequence[Sequence[float]]) -> bytes:
        """The body that asks for predictions of these rows."""
        return json.dumps({"dataframe_split": {"columns": self.columns, "data": rows}}).encode()


@dataclass(slots=True)
class Tally:
    """What came back: answers by version, answers that are not that version's own, and failures with their reasons."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        return self.answers.total() + self.failures.total()


def ask(port: int, body: bytes) -> tuple[list[Any], str]:
    """The predictions of one request and the version that made them. Raises OSError when it fails."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        return _ask(connection, body)
    finally:
        connection.close()


class Load:
    """Within its block some threads ask one row after the other over connections that stay open."""

    def __init__(self, port: int, own: Mapping[str, Flowers]) -> None:
        self.tally = Tally()
        self._port = port
        self._own = own
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask_on, args=(n,), daemon=True) for n in range(ASKERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT + 5)

    def _ask_on(self, number: int) -> None:
        flowers = next(iter(self._own.values()))
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        place = number
        while not self._stop.is_set():
            place = (place + ASKERS) % len(flowers.rows)
            try:
                predictions, version = _ask(connection, flowers.question([flowers.rows[place]]))
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                connection.close()
                self._count(failure=f"{type(error).__name__}: {error}")
                self._stop.wait(0.05)
                continue
            right = version in self._own and predictions == [self._own[version].predictions[place]]
            self._count(version=version, right=right)
        connection.close()

    def _count(self, *, version: str = "", right: bool = True, failure: str = "") -> None:
        with self._lock:
            if failure:
                self.tally.failures[failure] += 1
            else:
                self.tally.answers[version] += 1
                self.tally.wrong += not right


def _ask(connection: http.client.HTTPConnection, body: bytes) -> tuple[list[Any], str]:
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    raw = response.read()
    if response.status != 200:
        raise OSError(f"{response.status} {raw[:200].decode(errors='replace')}")
    return list(json.loads(raw)["predictions"]), response.headers.get(VERSION_HEADER, "?")
