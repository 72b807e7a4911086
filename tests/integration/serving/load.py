"""Clients that never stop asking, and what each of their answers was."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.integration.serving.machine import LIMIT, SPLIT, Client, Heard


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

    @property
    def hung(self) -> bool:
        """No answer and no end of the connection either."""
        return "TimeoutError" in self.error


class Load:
    """Several connections to one port, each asking again as soon as it is answered.

    They are kept open, or opened anew for each request (`renew`), or have several requests on their way at a time
    (`pipelined`), whose answers are to come in the order of the requests.
    """

    def __init__(self, port: int, connections: int = 4, *, renew: bool = False, pipelined: int = 0) -> None:
        self._port = port
        self._renew = renew
        self._pipelined = pipelined
        self._stop = threading.Event()
        self._asked: list[Asked] = []
        work = self._pipeline if pipelined else self._work
        self._threads = [threading.Thread(target=work) for _ in range(connections)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LIMIT)
        assert not any(thread.is_alive() for thread in self._threads)

    def so_far(self) -> list[Asked]:
        """Every request that has ended."""
        return list(self._asked)

    def _work(self) -> None:
        client = Client(self._port)
        # a breath between requests leaves some of the machine to the version that is loading
        while not self._stop.wait(0.003):
            if self._renew:
                client.close()
            if not self._noted(1, lambda: [_told(client.predict())]):
                client.close()
        client.close()

    def _pipeline(self) -> None:
        connection = Pipeline(self._port)
        while not self._stop.wait(0.003):
            if not self._noted(self._pipelined, partial(connection.ask, self._pipelined)):
                connection.close()
                connection = Pipeline(self._port)
        connection.close()

    def _noted(self, number: int, ask: Callable[[], list[tuple[int, str, int]]]) -> bool:
        sent = time.monotonic()
        try:
            told = ask()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is the finding
            self._asked += [Asked(sent, time.monotonic(), 0, "", 0, repr(error))] * number
            return False
        self._asked += [Asked(sent, time.monotonic(), *each) for each in told]
        return True


def _told(heard: Heard) -> tuple[int, str, int]:
    return heard.status, heard.version, heard.told["predictions"][0]


class Pipeline:
    """One connection that sends several requests before it reads an answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), LIMIT)
        self._answers = self._socket.makefile("rb")
        self._sent = 0

    def ask(self, number: int) -> list[tuple[int, str, int]]:
        """Status, version and first prediction of each answer. Raises when they are out of order or end early."""
        names = [f"r{self._sent + n}" for n in range(number)]
        self._sent += number
        self._socket.sendall(b"".join(_request(name) for name in names))
        return [self._read(name) for name in names]

    def close(self) -> None:
        self._answers.close()
        self._socket.close()

    def _read(self, name: str) -> tuple[int, str, int]:
        line = self._answers.readline()
        if not line:
            raise ConnectionError("the connection was closed before the answer")
        headers: dict[str, str] = {}
        while (header := self._answers.readline().decode().strip()) != "":
            key, _, value = header.partition(":")
            headers[key.lower()] = value.strip()
        body = self._answers.read(int(headers["content-length"]))
        if headers["x-request-id"] != name:
            raise AssertionError(f"the answer to {headers['x-request-id']} came in place of the one to {name}")
        return int(line.split()[1]), headers["x-lockgate-version"], json.loads(body)["predictions"][0]


def _request(name: str) -> bytes:
    head = (
        f"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nx-request-id: {name}\r\n"
    )
    return f"{head}content-length: {len(SPLIT)}\r\n\r\n{SPLIT}".encode()
