"""What an agent tells a worker at its start and over its control socket, and what it hears back.

One JSON object a line. Every question carries an `id` that its answer repeats, so that an answer which comes too late
is never taken for the answer to the next question.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
CONTROL_SOCKET = "control.sock"
CONNECTIONS_SOCKET = "connections.sock"  # takes client connections over from other workers of this machine
FORWARD_SOCKET = "forward.sock"  # answers HTTP that other workers of this machine pass on
STATUS_FILE = "status.json"


class Command(StrEnum):
    """What a worker can be asked. `REST` takes a drain back: the worker stays, warm, without taking traffic.

    `TOKENS` tells it the digests of the tokens that let a caller in. `DRAIN` carries `to`, the folders of the workers
    that take its connections over, and `park`: stay warm afterwards instead of leaving. `ROUTES` tells it where the
    other models of its environment are served. `SPLIT` tells it how requests are divided among versions.
    """

    HELLO = "hello"
    GO = "go"
    DRAIN = "drain"
    REST = "rest"
    STOP = "stop"
    LISTENER = "listener"
    TOKENS = "tokens"
    ROUTES = "routes"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class CommonToAll:
    """What all workers of a machine are told alike: fields of `WorkerConfig` that come from settings."""

    edge: str = "lockgate"
    tls_certificate: str = ""
    tls_key: str = ""
    access_log: bool = False
    traces: str = ""
    traces_share: float = 1.0
    predictions: str = ""
    prediction_days: int = 90


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Everything one worker is told: who it is, what it holds, where it listens and its limits (seconds, bytes).

    `engine` is the value of an `EngineKind`; `converted` is the ONNX file of the release and `converted_digest` what it
    must hash to. `group` is the folder that all workers of the release share, for what they count together.
    `hosts` are the names it may be called by (`*.name` is any below it), `origins` the pages that may ask it. `tokens`
    are digests: once there is one, or always when `closed`, a request needs the token of one.
    """

    worker: str
    endpoint: str
    release: str
    generation: int
    model: str
    version: int
    digest: str
    artifacts: str
    folder: str
    host: str
    port: int
    listener_fd: int
    timeout_seconds: float = 60.0
    threads: int = 1
    environment: str = ""
    engine: str = "native"
    converted: str = ""
    converted_digest: str = ""
    group: str = ""
    edge: str = "lockgate"  # or "uvicorn"
    tls_certificate: str = ""
    tls_key: str = ""
    access_log: bool = False
    traces: str = ""  # where spans are sent, by OTLP over HTTP; empty: nowhere
    traces_share: float = 1.0  # of the predictions whose callers do not say whether they are traced
    predictions: str = ""  # the folder that logged predictions and feedback lie in
    log_predictions: float = 0.0
    prediction_days: int = 90  # after which what was logged is removed; 0: never
    batch_wait_seconds: float = 0.0
    batch_rows: int = 1024  # of one prediction, when requests are put together
    connection_limit: int = 4096
    head_limit: int = 64 * 1024
    read_seconds: float = 30.0  # from the first byte of a request to its last
    queue_limit: int = 256
    body_limit: int = 64 * 1024 * 1024
    hosts: tuple[str, ...] = LOOPBACK_HOSTS
    origins: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    closed: bool = False
    keep_alive_seconds: float = 75.0
    # a little more than the 5 s after which httpx drops its own idle connections, so that both ends never close at once
    idle_seconds: float = 7.0
    grace_seconds: float = 30.0

    def encode(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, raw: bytes) -> WorkerConfig:
        """Read what `encode` wrote. Raises ValueError or TypeError when it is something else."""
        told: dict[str, Any] = json.loads(raw)
        told["hosts"] = tuple(told.get("hosts", LOOPBACK_HOSTS))
        told["origins"], told["tokens"] = tuple(told.get("origins", ())), tuple(told.get("tokens", ()))
        return cls(**told)


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker about itself. `state` is the value of a `GroupState`; `because` is one line, empty unless it failed."""

    worker: str
    endpoint: str
    release: str
    generation: int
    pid: int
    state: str
    host: str
    port: int
    because: str = ""

    def encode(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, raw: bytes) -> WorkerStatus:
        """Read what `encode` wrote. Raises ValueError or TypeError when it is something else."""
        return cls.of(json.loads(raw))

    @classmethod
    def of(cls, told: dict[str, Any]) -> WorkerStatus:
        """Read the fields of a status out of a larger answer."""
        return cls(**{name: told[name] for name in cls.__dataclass_fields__ if name in told})
