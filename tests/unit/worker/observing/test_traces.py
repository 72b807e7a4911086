"""Spans of requests: which are sent, what they say, and what becomes of those that do not arrive."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from lockgate.wire.traces import collector
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.observing import traces
from lockgate.worker.observing.traces import Traces, parent_of
from tests.unit.worker.observing.test_counting import config

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@contextmanager
def collecting(status: int = 200) -> Iterator[tuple[str, list[tuple[str, ExportTraceServiceRequest]]]]:
    """A collector on a free port, and what it was sent: the path and the message."""
    heard: list[tuple[str, ExportTraceServiceRequest]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            assert self.headers["content-type"] == "application/x-protobuf"
            heard.append((self.path, ExportTraceServiceRequest.FromString(raw)))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", heard
        finally:
            server.shutdown()
            thread.join()


def request(traceparent: bytes = b"") -> Request:
    headers = [(b"traceparent", traceparent)] if traceparent else []
    return Request(b"POST", b"/invocations", b"", headers, b"{}", id=b"the-id")


def told(tmp_path: Path, url: str, share: float = 1.0):
    return replace(config(tmp_path, "w1"), traces=url, traces_share=share)


def test_a_prediction_is_a_span_of_its_callers_trace(tmp_path: Path) -> None:
    counted: Counter[str] = Counter()
    with collecting() as (url, heard):
        sends = Traces(told(tmp_path, url), lambda what, n: counted.update({what: n}))
        sends.offer(request(f"00-{TRACE}-{SPAN}-01".encode()), Answer(503, b"", rows=3), 0.25, invocation=True)
        sends.close()
    ((path, message),) = heard
    assert path == "/v1/traces"
    about = {each.key: each.value.string_value for each in message.resource_spans[0].resource.attributes}
    assert about["service.name"] == "fraud model"
    assert about["deployment.environment.name"] == "production"
    (span,) = message.resource_spans[0].scope_spans[0].spans
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.name) == (TRACE, SPAN, "POST /invocations")
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250_000_000
    said = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
    assert said["http.response.status_code"] == 503
    assert (said["lockgate.request_id"], said["lockgate.rows"]) == ("the-id", 3)
    assert span.status.code == 2
    assert counted == {"span_sent": 1}


@pytest.mark.parametrize(
    ("traceparent", "share", "invocation", "sent"),
    [
        ("", 1.0, True, True),
        ("", 0.0, True, False),
        ("", 1.0, False, False),  # nobody asked for the span of a probe
        (f"00-{TRACE}-{SPAN}-01", 0.0, False, True),
        (f"00-{TRACE}-{SPAN}-00", 1.0, True, False),
        ("nonsense", 0.0, True, False),
    ],
)
def test_callers_say_what_is_traced_and_else_a_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traceparent: str, share: float, invocation: bool, sent: bool
) -> None:
    spans: list[traces.Span] = []

    def sent_now(sends: Traces, some: list[traces.Span]) -> bool:
        spans.extend(some)
        return True

    monkeypatch.setattr(Traces, "_sent", sent_now)
    sends = Traces(told(tmp_path, "http://127.0.0.1:4318", share), lambda *_: None)
    sends.offer(request(traceparent.encode()), Answer(200, b""), 0.1, invocation=invocation)
    sends.close()
    assert bool(spans) is sent


def test_spans_that_do_not_arrive_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    counted: Counter[str] = Counter()
    with collecting(status=500) as (url, _):
        sends = Traces(told(tmp_path, url), lambda what, n: counted.update({what: n}))
        sends.offer(request(), Answer(200, b""), 0.1, invocation=True)
        sends.close()
    sends = Traces(told(tmp_path, url), lambda what, n: counted.update({what: n}))  # where nobody listens any more
    sends.offer(request(), Answer(200, b""), 0.1, invocation=True)
    sends.close()
    assert counted == {"span_dropped": 2}
    assert "spans do not get to" in caplog.text


def test_spans_that_have_no_room_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: Counter[str] = Counter()
    monkeypatch.setattr(traces, "MOST_WAITING", 2)
    monkeypatch.setattr(Traces, "_sent", lambda self, some: True)
    monkeypatch.setattr(Traces, "_run", lambda self: None)
    sends = Traces(told(tmp_path, "http://127.0.0.1:4318"), lambda what, n: counted.update({what: n}))
    for _ in range(5):
        sends.offer(request(), Answer(200, b""), 0.1, invocation=True)
    assert counted == {"span_dropped": 3}


@pytest.mark.parametrize(
    "header",
    [
        *("", "00", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01"),
        *(f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-more", f"00-{TRACE}-{SPAN}-1", "x" * 10_000),
    ],
)
def test_a_header_that_is_no_traceparent_is_as_none(header: str) -> None:
    assert parent_of(header.encode()) is None


def test_a_later_version_of_the_header_may_say_more() -> None:
    parent = parent_of(f"01-{TRACE}-{SPAN}-03-more".encode())
    assert parent is not None
    assert (parent.trace.hex(), parent.span.hex(), parent.recorded) == (TRACE, SPAN, True)


@pytest.mark.parametrize("url", ["", "127.0.0.1:4318", "ftp://h", "http://", "http://me:secret@h", "http://h:x"])
def test_an_address_that_is_no_collectors_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        collector(url)


def test_a_collectors_address_alone_means_its_path_for_traces() -> None:
    assert collector("http://h:4318").geturl() == collector("http://h:4318/").geturl() == "http://h:4318/v1/traces"
    assert collector("https://h/otlp/v1/traces?x=1").geturl() == "https://h/otlp/v1/traces?x=1"
