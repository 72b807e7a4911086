"""Clients of an endpoint: one question, and several clients that never stop asking while something happens."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.conftest import until

LIMIT = 20.0  # seconds after which a request counts as hung


@dataclass(frozen=True)
class Answer:
    """What one request got, and when it was sent. `status` 0: nothing, for the reason in `error`."""

    sent: float
    status: int
    version: int = 0
    predictions: tuple[int, ...] = ()
    error: str = ""


def ask(
    port: int,
    body: Mapping[str, Any],
    connection: http.client.HTTPConnection | None = None,
    *,
    path: str = "/invocations",
) -> Answer:
    """One request. Never raises: what went wrong is in the answer."""
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    sent = time.monotonic()
    try:
        own.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        heard = own.getresponse()
        told = heard.read()
        if heard.status != 200:
            return Answer(sent, heard.status, error=told.decode(errors="replace"))
        version = int(heard.headers.get("x-lockgate-version", 0))
        return Answer(sent, 200, version, tuple(json.loads(told)["predictions"]))
    except (OSError, ValueError, http.client.HTTPException) as error:
        own.close()
        return Answer(sent, 0, error=repr(error))
    finally:
        if connection is None:
            own.close()


class Load:
    """Four clients that keep their connections and two that open a new one each time, until the block ends."""

    def __init__(self, port: int, body: Mapping[str, Any]) -> None:
        self._port = port
        self._body = body
        self._stop = threading.Event()
        self.answers: list[Answer] = []
        self._threads = [threading.Thread(target=self._work, args=(keep,)) for keep in [True] * 4 + [False] * 2]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.more(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * LIMIT)
        assert not any(thread.is_alive() for thread in self._threads), "a request hung"

    def more(self, count: int) -> None:
        """Wait until so many more requests than now have ended."""
        wanted = len(self.answers) + count
        until(lambda: len(self.answers) >= wanted, f"{count} more requests")

    def failed(self) -> list[Answer]:
        """Every answer that is none."""
        return [answer for answer in self.answers if answer.status != 200]

    def wrong(self, predictions: Mapping[int, Sequence[int]]) -> list[Answer]:
        """Every answer that the version its header names does not give."""
        return [a for a in self.answers if a.status == 200 and list(a.predictions) != predictions.get(a.version)]

    def versions_since(self, moment: float) -> set[int]:
        """Who answered what was sent after that moment (`time.monotonic()`)."""
        return {answer.version for answer in self.answers if answer.sent > moment}

    def _work(self, keep: bool) -> None:
        kept = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT) if keep else None
        # a breath between requests leaves some of the machine to the version that is loading
        while not self._stop.wait(0.02):
            self.answers.append(ask(self._port, self._body, kept))
        if kept is not None:
            kept.close()
