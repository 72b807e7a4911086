"""A span for each request, sent to an OpenTelemetry collector by OTLP over HTTP.

Callers say by `traceparent` (W3C Trace Context) which trace a request belongs to, and whether it is recorded. The spans
follow OpenTelemetry's conventions for HTTP servers.
"""

from __future__ import annotations

import http.client
import logging
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from random import random
from typing import Any
from urllib.parse import SplitResult

from lockgate.wire.traces import collector
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.observing.keeping import Tally

_log = logging.getLogger("lockgate.worker")
MOST_WAITING = 4096
_AT_ONCE = 512
_WITHOUT_PAUSE = 8
_GATHERED_SECONDS = 1.0
_SENT_WITHIN = 5.0
_COMPLAINED_EVERY = 60.0
_LONGEST_PATH = 1000
# version, trace, parent, flags; a later version may say more after them
_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class Parent:
    """Which trace a request belongs to and which span asked for it; `recorded` says whether anybody wants to know."""

    trace: bytes
    span: bytes
    recorded: bool


def parent_of(traceparent: bytes) -> Parent | None:
    """Read the header, None when there is none or it is none."""
    found = _TRACEPARENT.fullmatch(traceparent.strip()) if traceparent else None
    if found is None or (found[1] == b"00" and found[5]):
        return None
    recorded = bool(int(found[4], 16) & 1)
    return Parent(bytes.fromhex(found[2].decode()), bytes.fromhex(found[3].decode()), recorded)


@dataclass(slots=True)
class Span:
    """One answered request, times in nanoseconds since 1970."""

    trace: bytes
    parent: bytes
    began: int
    ended: int
    method: str
    path: str
    status: int
    rows: int
    request_id: str


class Traces:
    """Sends spans from a thread of its own. What has no room or does not get there is dropped and counted.

    `offer` is for the loop's thread.
    """

    def __init__(self, config: WorkerConfig, tally: Tally) -> None:
        self._url = collector(config.traces)
        self._share = config.traces_share
        self._tally = tally
        self._about = {
            "service.namespace": "lockgate",
            "service.name": config.model,
            "service.version": str(config.version),
            "service.instance.id": config.worker,
            "deployment.environment.name": config.environment,
            "lockgate.release": config.release,
        }
        self._waiting: deque[Span] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._complained = 0.0
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def offer(self, request: Request, answer: Answer, seconds: float, *, invocation: bool) -> None:
        """Send a span for this request if its caller wants one, or, when nobody said, for a share of predictions."""
        parent = parent_of(request.header(b"traceparent"))
        if not parent.recorded if parent else not invocation or random() >= self._share:  # noqa: S311 - a sample
            return
        if len(self._waiting) >= MOST_WAITING:
            self._tally("span_dropped", 1)
            return
        ended = time.time_ns()
        self._waiting.append(
            Span(
                trace=parent.trace if parent else secrets.token_bytes(16),
                parent=parent.span if parent else b"",
                began=ended - int(seconds * 1e9),
                ended=ended,
                method=request.method.decode("latin-1"),
                path=request.path[:_LONGEST_PATH].decode("latin-1"),
                status=answer.status,
                rows=answer.rows,
                request_id=request.id.decode("latin-1"),
            )
        )
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Send what waits, if that takes no longer than a few seconds. Call it off the loop."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(_SENT_WITHIN + 1.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._stopping.wait(_GATHERED_SECONDS)  # one request for what comes close together
            self._wake.clear()
            while self._waiting:
                spans = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
                self._tally("span_sent" if self._sent(spans) else "span_dropped", len(spans))
                if self._stopping.is_set():
                    return

    def _sent(self, spans: list[Span]) -> bool:
        try:
            status = _post(self._url, encoded(self._about, spans))
        except (OSError, http.client.HTTPException) as error:
            because = str(error) or type(error).__name__
        else:
            if status < 300:
                return True
            because = f"status {status}"
        if time.monotonic() - self._complained > _COMPLAINED_EVERY or not self._complained:
            self._complained = time.monotonic()
            _log.warning("spans do not get to %s: %s", self._url.geturl(), because)
        return False


def encoded(about: dict[str, str], spans: list[Span]) -> bytes:
    """The spans as an `ExportTraceServiceRequest` in Protocol Buffers."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
    from opentelemetry.proto.trace.v1.trace_pb2 import Status

    export = ExportTraceServiceRequest()
    resource = export.resource_spans.add()
    _attributes(resource.resource.attributes, about)
    scope = resource.scope_spans.add()
    scope.scope.name = "lockgate.worker"
    for number, span in enumerate(spans):
        if not number % _WITHOUT_PAUSE:
            time.sleep(0)  # the loop waits for the interpreter no longer than this many spans take
        message = scope.spans.add(
            trace_id=span.trace,
            span_id=secrets.token_bytes(8),
            parent_span_id=span.parent,
            name=f"{span.method} {span.path}",
            kind=Message.SPAN_KIND_SERVER,
            start_time_unix_nano=span.began,
            end_time_unix_nano=span.ended,
        )
        told: dict[str, str | int] = {
            "http.request.method": span.method,
            "url.path": span.path,
            "http.response.status_code": span.status,
            "lockgate.request_id": span.request_id,
            "lockgate.rows": span.rows,
        }
        _attributes(message.attributes, told)
        if span.status >= 500:
            message.status.code = Status.STATUS_CODE_ERROR
    return bytes(export.SerializeToString())


def _attributes(into: Any, told: Mapping[str, str | int]) -> None:
    for key, value in told.items():
        attribute = into.add(key=key)
        if isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.string_value = value


def _post(url: SplitResult, body: bytes) -> int:
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=_SENT_WITHIN)
    try:
        target = f"{url.path}?{url.query}" if url.query else url.path
        connection.request("POST", target, body, {"content-type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read(64 * 1024)
        return answer.status
    finally:
        connection.close()
