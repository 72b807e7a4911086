"""The tests against the real worker: many requests at once, and every input format."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lockgate.domain.validation import INTEGRATION, LOAD, TestResult
from lockgate.worker.examine_compare import percentile, same, short
from lockgate.worker.examine_formats import Body, Formats, predictions_in
from lockgate.worker.examine_suite import failed, passed

_AT_ONCE = 50
_REQUEST_SECONDS = 60.0
_MALFORMED = (
    Body("JSON that breaks off", b'{"dataframe_split": {"columns": ["a"], "data": [[1'),
    Body("JSON without a known format", b'{"rows": [[1]]}'),
)


@dataclass(frozen=True)
class Reply:
    """What came back for one request: status and body, or (status 0) the reason why nothing did."""

    status: int
    body: bytes
    milliseconds: float


def load_test(port: int, body: Body, expected: Any) -> TestResult:
    """Fifty requests from fifty connections at once: every one answered, with the predictions of this process."""
    together = threading.Barrier(_AT_ONCE)
    began = time.perf_counter()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        replies = list(pool.map(lambda _: _invoke(port, body, together), range(_AT_ONCE)))
    seconds = time.perf_counter() - began
    problems = Counter(problem for reply in replies if (problem := _problem(reply, expected)))
    p95 = round(percentile([reply.milliseconds for reply in replies], 0.95), 3)
    failures = sum(problems.values())
    measured = {"requests": float(_AT_ONCE), "failures": float(failures), "p95_ms": p95, "seconds": round(seconds, 3)}
    if failures:
        worst, times = problems.most_common(1)[0]
        because = f"{failures} of {_AT_ONCE} concurrent requests failed; {times} of them: {worst}"
        return failed(LOAD, because, measured)
    return passed(LOAD, f"{_AT_ONCE} concurrent requests answered correctly, p95 {p95:g} ms", measured)


def integration_test(port: int, formats: Formats, expected: Any) -> TestResult:
    """Every format that can carry the rows gives this process's predictions; malformed ones are refused."""
    problems = []
    for body in formats.carried:
        if problem := _problem(_invoke(port, body), expected):
            problems.append(f"{body.name}: {problem}")
    for body in _MALFORMED:
        reply = _invoke(port, body)
        if not 400 <= reply.status < 500:
            problems.append(f"{body.name} must be refused with a 4xx, but got {_told(reply)}")
    ping = _ask(port, "GET", "/ping", None)
    if ping.status != 200:
        problems.append(f"after the malformed requests /ping gives {_told(ping)}")
    measured = {
        "formats": float(len(formats.carried)),
        "left_out": float(len(formats.left_out)),
        "failures": float(len(problems)),
    }
    if problems:
        return failed(INTEGRATION, "; ".join(problems), measured)
    names = ", ".join(body.name for body in formats.carried)
    without = (
        f"; left out because they cannot carry this model's input: {', '.join(formats.left_out)}"
        if formats.left_out
        else ""
    )
    return passed(INTEGRATION, f"the same predictions by {names}{without}; malformed requests are refused", measured)


def _problem(reply: Reply, expected: Any) -> str:
    if reply.status != 200:
        return f"got {_told(reply)}"
    try:
        found = predictions_in(reply.body)
    except ValueError:
        return f"the answer is no JSON: {short(reply.body.decode(errors='replace'))}"
    if not same(found, expected):
        return f"the worker predicts {short(found, 80)}, in process it is {short(expected, 80)}"
    return ""


def _told(reply: Reply) -> str:
    text = short(reply.body.decode(errors="replace"))
    return f"status {reply.status}: {text}" if reply.status else f"no answer: {text}"


def _invoke(port: int, body: Body, together: threading.Barrier | None = None) -> Reply:
    return _ask(port, "POST", "/invocations", body, together)


def _ask(port: int, method: str, path: str, body: Body | None, together: threading.Barrier | None = None) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_REQUEST_SECONDS)
    started = time.perf_counter()
    try:
        connection.connect()
        if together is not None:
            together.wait(_REQUEST_SECONDS)
        started = time.perf_counter()
        headers = {"content-type": body.content_type} if body else {}
        connection.request(method, path, body.content if body else None, headers)
        answer = connection.getresponse()
        content = answer.read()
        return Reply(answer.status, content, _since(started))
    except (OSError, http.client.HTTPException, threading.BrokenBarrierError) as error:
        if together is not None:
            together.abort()
        return Reply(0, f"{type(error).__name__} {error}".encode(), _since(started))
    finally:
        connection.close()


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
