"""Workers without models, several in one loop: real sockets, real edges, real routers."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockgate.domain.traffic import Split
from lockgate.wire.routes import Beside, Place
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.edges import Edges
from lockgate.worker.http.messages import Answer, Reply, Request, identity_of
from lockgate.worker.routing.app import Router

LIMIT = 20.0


class Watcher:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.ways: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()

    def answered(self, request: Request, answer: Answer, seconds: float, *, invocation: bool) -> None:
        assert seconds >= 0, (request, invocation)
        self.answers[answer.status] += 1

    def predicted(self, requests: int, rows: int, seconds: float) -> None:
        raise AssertionError((requests, rows, seconds))

    def waiting(self, requests: int) -> None:
        raise AssertionError(requests)

    def passed(self, how: str) -> None:
        self.ways[how] += 1

    def text(self, *, alone: bool = False) -> bytes:
        return b"alone" if alone else b"all"


class Version:
    """Answers with its number and what it was asked. `status` is what it answers with, None: nothing ever."""

    engine = "native"

    def __init__(self, model: str, version: int) -> None:
        self.model, self.version, self.release = model, version, f"r-{model}-{version}"
        self.identity = identity_of(model, version, self.release)
        self.status: int | None = 200
        self.asked: list[bytes] = []

    def invoke(self, request: Request, reply: Reply) -> None:
        self.asked.append(request.body)
        if self.status is not None:
            reply(Answer(self.status, b"%d " % self.version + request.body, identity=self.identity, rows=1))

    infer = invoke

    def describe(self) -> Answer:
        return Answer(200, b"described %d" % self.version, identity=self.identity)

    def close(self) -> None:
        self.status = None


@dataclass
class Loaded:
    """What loading a version beside gives."""

    served: Version
    observer: Watcher
    stuck: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self) -> None:
        self.served.close()


class Worker:
    """One worker of one version, on a port of its own."""

    def __init__(
        self, home: Path, model: str, version: int, load: Callable[..., Any] | None = None, **told: Any
    ) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.folder = home / f"{model}-{version}-{self.port}"
        self.folder.mkdir()
        self.config = WorkerConfig(
            worker=self.folder.name, endpoint=f"e-{model}", release=f"r-{model}-{version}", generation=1, model=model,
            version=version, digest="sha256:0", artifacts="/m", folder=str(self.folder), host="127.0.0.1",
            port=self.port, listener_fd=-1, **{"timeout_seconds": LIMIT, **told},
        )  # fmt: skip
        self.watcher = Watcher()
        self.served = Version(model, version)
        self.router = Router(self.config, self.watcher, load)
        self.router.served = self.served
        self.edges = Edges(self.config, self.router, self.router.passed_on, self.watcher)

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    @property
    def place(self) -> Place:
        """Where others find it."""
        return Place(self.config.endpoint, self.config.model, "127.0.0.1", self.port, (str(self.folder),))

    async def open(self, *, accept: bool = True) -> Worker:
        """Be there, and take clients unless told otherwise."""
        await self.edges.open()
        if accept:
            await self.edges.accept(self.listener)
        return self

    def knows(self, *others: Worker) -> None:
        """Tell it of other models."""
        self.router.tell_routes({"places": [self.place.plain(), *(other.place.plain() for other in others)]})

    def divides(self, split: Split | None, *others: Worker, here: tuple[int, ...] = ()) -> None:
        """Tell it of further versions: in other workers, or to be loaded here."""
        apart = [_beside(other.config.model, other.config.version, str(other.folder)) for other in others]
        loaded = [_beside(self.config.model, number) for number in here]
        told = split.plain() if split is not None else None
        self.router.tell_split({"versions": [one.plain() for one in apart + loaded], "split": told, "shares": False})

    def close(self) -> None:
        """End it, with everything it has open."""
        self.edges.accept_no_more()
        self.edges.close()
        for connections in (self.edges._clients, self.edges._workers):
            for connection in list(connections._shared.open):
                connection._transport.abort()  # the test is over, whatever is still to be answered
        self.edges._giver.close()
        self.router.close()
        self.listener.close()


class Town:
    """Workers and clients of one test, ended whatever happens."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._ends: list[Worker | Client] = []

    async def worker(self, model: str, version: int, *, accept: bool = True, **told: Any) -> Worker:
        """One more worker."""
        worker = Worker(self._home, model, version, **told)
        self._ends.append(worker)
        return await worker.open(accept=accept)

    async def client(self, worker: Worker, **how: Any) -> Client:
        """A new connection to its port."""
        client = await Client.to(worker.port, **how)
        self._ends.append(client)
        return client

    async def __aenter__(self) -> Town:
        return self

    async def __aexit__(self, *_: object) -> None:
        for end in reversed(self._ends):
            end.close()
        for _turn in range(5):  # transports let go of their sockets a turn of the loop after they are closed
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Heard:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def who(self) -> tuple[str, str]:
        """The model and version that the answer names."""
        return self.headers["x-lockgate-model"], self.headers["x-lockgate-version"]


class Client:
    """One connection, kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, port: int, **how: Any) -> Client:
        """A new connection."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, **how))

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Heard:
        """Send a request and wait for its answer."""
        self.send(method, path, body, **headers)
        return await self.hear()

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        """Send a request."""
        told = {"host": "localhost", "content-length": str(len(body)), **headers}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n.replace('_', '-')}: {v}\r\n" for n, v in told.items())
        self._writer.write(head.encode() + b"\r\n" + body)

    async def hear(self) -> Heard:
        """Wait for the next answer."""
        async with asyncio.timeout(LIMIT):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            lines = (line.partition(": ") for line in head[1:] if line)
            headers = {name.lower(): value for name, _, value in lines}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Heard(int(head[0].split()[1]), headers, body)

    def close(self) -> None:
        """Close it."""
        self._writer.close()


def _beside(model: str, version: int, folder: str = "") -> Beside:
    folders = (folder,) if folder else ()
    return Beside(version, f"r-{model}-{version}", "sha256:0", "/m", "native", apart=bool(folder), folders=folders)
