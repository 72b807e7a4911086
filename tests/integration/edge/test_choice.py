"""A worker has the edge, the TLS and the access log that it was told."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lockgate.wire.workers import WorkerConfig
from lockgate.worker.edges import Edges
from lockgate.worker.http.messages import Answer, Request
from tests.integration.edge.edges import Behind, Client, Loop

CONFIG = WorkerConfig(
    worker="w", endpoint="e", release="r", generation=1, model="m", version=1, digest="", artifacts="", folder="",
    host="127.0.0.1", port=1, listener_fd=0,
)  # fmt: skip


class Counting:
    """Hears of answers."""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    def answered(self, request: Request, answer: Answer, seconds: float, *, invocation: bool) -> None:
        self.statuses.append(answer.status)

    def predicted(self, requests: int, rows: int, seconds: float) -> None: ...

    def waiting(self, requests: int) -> None: ...

    def passed(self, how: str) -> None: ...

    def text(self, *, alone: bool = False) -> bytes:
        return b""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.mark.parametrize("kind", ["lockgate", "uvicorn"])
def test_a_worker_speaks_tls_and_logs_on_either_edge(
    loop: Loop, listener: socket.socket, tmp_path: Path, certificate: tuple[Path, Path], kind: str,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    told = replace(
        CONFIG, folder=str(tmp_path), edge=kind, access_log=True,
        tls_certificate=str(certificate[0]), tls_key=str(certificate[1]),
    )  # fmt: skip
    observer = Counting()
    edges = Edges(told, Behind(), Behind(), observer)
    loop.wait_for(edges.open())
    try:
        loop.wait_for(edges.accept(listener))
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        with Client(listener.getsockname()[1], tls=trusting) as client:
            assert client.ask("/echo", "POST", b"hello").body == b"hello"
            assert client.send(b"\x00").read().status == 400
        loop.wait_until(lambda: len(edges) == 0)
    finally:
        loop.call(edges.accept_no_more)
        loop.call(edges.close)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == [200, 400]
    assert observer.statuses == [400]
