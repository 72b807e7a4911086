"""A real HTTP server on loopback that keeps what it was sent, and answers as it is told to."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LIMIT = 60.0


@dataclass(frozen=True)
class Got:
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def event(self) -> str:
        return f"{self.body['entity']}.{self.body['action']}"

    @property
    def id(self) -> str:
        return self.headers["x-mlflow-delivery-id"]


@dataclass
class Receiver:
    """`answer` gives the status, the headers and the body for one request; it may take its time."""

    url: str = ""
    answer: Callable[[Got], tuple[int, dict[str, str], bytes]] = lambda _got: (200, {}, b"")
    got: list[Got] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def status(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """Answer so from now on."""
        self.answer = lambda _got: (status, headers or {}, body)

    def until(self, condition: Callable[[list[Got]], Any], what: str = "what was expected") -> list[Got]:
        """All requests, as soon as the condition holds for them."""
        with self.news:
            if not self.news.wait_for(lambda: condition(self.got), LIMIT):
                raise AssertionError(f"{what} did not arrive: {[(each.path, each.raw[:300]) for each in self.got]}")
            return list(self.got)

    def keep(self, got: Got) -> None:
        with self.news:
            self.got.append(got)
            self.news.notify_all()


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """One that listens on a free port until the end of the block."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, raw)
            made.keep(got)
            status, headers, body = made.answer(got)
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_args: object) -> None:
            pass  # a sender that was killed

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def verify_as_mlflow_says(got: Got, secret: str) -> bool:
    """What MLflow's documentation tells receivers to do."""
    timestamp, delivery = got.headers["x-mlflow-timestamp"], got.headers["x-mlflow-delivery-id"]
    if abs(time.time() - int(timestamp)) > 300:
        return False
    version, _, given = got.headers["x-mlflow-signature"].partition(",")
    signed = f"{delivery}.{timestamp}.{got.raw.decode('utf-8')}".encode()
    expected = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    return version == "v1" and hmac.compare_digest(given, expected)


def until(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """The condition's value as soon as it is true."""
    give_up = time.monotonic() + limit
    while not (value := condition()):
        if time.monotonic() > give_up:
            raise AssertionError(f"{what} did not happen within {limit:g} s")
        time.sleep(0.02)
    return value
