"""Clients that never stop asking, and what each of their answers was."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from tests.integration.serving.machine import LIMIT, Client


@dataclass(frozen=True)
class Asked:
    """One request: when it was sent, and what came of it."""

    sent: float
    answered: float
    status: int
    version: str
    prediction: int
    error: str = ""

    @property
    def right(self) -> bool:
        """An answer, computed by the version that its header names."""
        return self.status == 200 and self.version == ("2" if self.prediction >= 100 else "1")


class Load:
    """Several keep-alive connections to one port, each asking again as soon as it is answered."""

    def __init__(self, port: int, connections: int = 4, *, renew: bool = False) -> None:
        self._port = port
        self._renew = renew
        self._stop = threading.Event()
        self._asked: list[Asked] = []
        self._threads = [threading.Thread(target=self._work) for _ in range(connections)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LIMIT)

    def so_far(self) -> list[Asked]:
        """Every request that has ended."""
        return list(self._asked)

    def _work(self) -> None:
        client = Client(self._port)
        # a breath between requests leaves some of the machine to the version that is loading
        while not self._stop.wait(0.003):
            if self._renew:
                client.close()
            sent = time.monotonic()
            try:
                heard = client.predict()
                first = heard.told["predictions"][0]
                self._asked.append(Asked(sent, time.monotonic(), heard.status, heard.version, first))
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is the finding
                self._asked.append(Asked(sent, time.monotonic(), 0, "", 0, repr(error)))
                client.close()
        client.close()
