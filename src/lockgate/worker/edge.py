"""The worker's HTTP surface, as one plain ASGI application: routes, limits, and the headers every answer carries."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol
from urllib.parse import quote, unquote

from lockgate.wire.workers import WorkerConfig
from lockgate.worker.entrance import Entrance
from lockgate.worker.forwarding import Request, Unanswered, forward
from lockgate.worker.http import messages
from lockgate.worker.metrics import Metrics
from lockgate.worker.predictions import Predictions, QueueFull, TooSlow
from lockgate.worker.scoring import Answer, failure
from lockgate.worker.traffic import Direction, Traffic

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger("lockgate.worker")
_CLOSE = (b"connection", b"close")
_TAKING_LEAVE = failure(503, "TEMPORARILY_UNAVAILABLE", "This endpoint is being retired.", (b"retry-after", b"1"))


class Scores(Protocol):
    """What the edge needs of a loaded model."""

    def score(self, body: bytes, content_type: str) -> Answer: ...


class TooLarge(Exception):
    """The body is longer than the limit."""


class Gone(Exception):
    """The client left before its request was complete."""


class Edge:
    """The ASGI application of one worker."""

    def __init__(self, config: WorkerConfig, direction: Direction, predictions: Predictions, metrics: Metrics) -> None:
        self._config = config
        self._direction = direction
        self._predictions = predictions
        self._metrics = metrics
        self.entrance = Entrance(config)
        self._own_name = quote(config.model, safe="")
        self.scorer: Scores | None = None
        self.mlflow_version = ""
        self.identity = (
            (b"x-lockgate-model", self._own_name.encode()),
            (b"x-lockgate-version", str(config.version).encode()),
            (b"x-lockgate-release", quote(config.release, safe="").encode()),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        self._metrics.in_flight += 1
        try:
            try:
                answer = self._refusal(scope) or await self._routed(scope, receive)
            except TooLarge:
                answer = self._too_large()
            except TooSlow:
                # MLflow's own words for it
                answer = Answer(504, b"Request processing time exceeded limit")
            except Gone:
                return
            self._metrics.answered(answer.status)
            await self._give(answer, send)
        finally:
            self._metrics.in_flight -= 1

    def _refusal(self, scope: Scope) -> Answer | None:
        path = scope["path"]
        asked = messages.Request(scope["method"].encode(), path.encode(), b"", list(scope["headers"]), b"")
        told = self.entrance.refusal(asked, guarded=path not in ("/ping", "/health"))
        return None if told is None else Answer(told.status, told.body, headers=told.headers)

    async def _routed(self, scope: Scope, receive: Receive) -> Answer:
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        model = _model_in(path)
        invocation = path == "/invocations" or model is not None
        if not invocation and path not in ("/ping", "/health", "/version", "/metrics"):
            return failure(
                404, "RESOURCE_DOES_NOT_EXIST", f"There is nothing at {path[:200]}. Predictions: POST /invocations"
            )
        allowed = ("POST",) if invocation else ("GET", "HEAD")
        if scope["method"] not in allowed:
            told = " or ".join(allowed)
            return failure(405, "BAD_REQUEST", f"Use {told} for {path[:200]}.", (b"allow", ", ".join(allowed).encode()))
        if model is not None and model != self._config.model:
            return failure(
                404,
                "RESOURCE_DOES_NOT_EXIST",
                f"Model {model[:200]!r} is not served here. This endpoint serves {self._config.model!r}:"
                f" POST /models/{self._own_name}/invocations",
            )
        body = await self._body(scope, receive)
        match self._direction.now:
            case Traffic.FORWARD:
                return await self._forwarded(scope, body)
            case Traffic.REFUSE:
                return _TAKING_LEAVE
            case Traffic.ANSWER:
                return await self._invoked(scope, body) if invocation else self._told(path)

    def _told(self, path: str) -> Answer:
        match path:
            case "/version":
                return Answer(200, self.mlflow_version.encode())
            case "/metrics":
                return Answer(200, self._metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
            case _:
                return Answer(200, b"\n") if self.scorer else _starting()

    async def _invoked(self, scope: Scope, body: bytes) -> Answer:
        scorer = self.scorer
        if scorer is None:
            return _starting()
        # without a content type MLflow 3.17 fails with a bare 500; taken as an empty one it gets MLflow's 415 and why
        content_type = _header(scope, b"content-type").decode("latin-1")
        started = time.perf_counter()
        try:
            return await self._predictions.run(lambda: scorer.score(body, content_type), self._config.timeout_seconds)
        except QueueFull:
            waiting = self._config.queue_limit
            return failure(
                503, "TEMPORARILY_UNAVAILABLE", f"{waiting} predictions are waiting already.", (b"retry-after", b"1")
            )
        finally:
            self._metrics.predicted(time.perf_counter() - started)

    async def _forwarded(self, scope: Scope, body: bytes) -> Answer:
        target = scope.get("raw_path", scope["path"].encode())
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        request = Request(scope["method"], target, tuple(scope["headers"]), body)
        self._metrics.forwarded += 1
        try:
            passed = await forward(request, self._config.host, self._config.port, self._config.timeout_seconds)
        except Unanswered as error:
            _log.warning("nobody took over a request: %s", error)
            return failure(
                503, "TEMPORARILY_UNAVAILABLE", "The endpoint is changing over. Try again.", (b"retry-after", b"1")
            )
        return Answer(passed.status, passed.body, "", passed.headers)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        limit = self._config.body_limit
        told = _header(scope, b"content-length")
        if told.isdigit() and int(told) > limit:
            raise TooLarge
        parts: list[bytes] = []
        length = 0
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise Gone
            part = event.get("body", b"")
            length += len(part)
            if length > limit:
                raise TooLarge
            parts.append(part)
            if not event.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> Answer:
        limit = self._config.body_limit / (1024 * 1024)
        told = f"The body is larger than {limit:g} MiB, the limit of this endpoint. Send fewer rows at a time."
        return failure(413, "BAD_REQUEST", told, _CLOSE)

    async def _give(self, answer: Answer, send: Send) -> None:
        headers = list(answer.headers)
        if answer.content_type:
            headers += [(b"content-type", answer.content_type.encode()), *self.identity]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        # asked here and not earlier: the drain may have begun while the model was working
        if self._direction.now is not Traffic.ANSWER and _CLOSE not in headers:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def _starting() -> Answer:
    return failure(503, "TEMPORARILY_UNAVAILABLE", "The model is still being loaded.", (b"retry-after", b"1"))


def _model_in(path: str) -> str | None:
    """The model that `/models/{model}/invocations` names, or None for another path."""
    parts = path.split("/")
    if len(parts) == 4 and parts[1] == "models" and parts[3] == "invocations" and not parts[0]:
        return unquote(parts[2])
    return None


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")
