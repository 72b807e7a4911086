"""The parts of a worker that need no socket: what it counts, what it hashes, how it explains itself."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from lockgate.wire.workers import WorkerConfig, WorkerStatus
from lockgate.worker.artifacts import manifest_of
from lockgate.worker.edge import Edge
from lockgate.worker.metrics import Metrics
from lockgate.worker.predictions import Predictions, QueueFull, TooSlow
from lockgate.worker.scoring import Answer, why_it_did_not_load
from lockgate.worker.traffic import Direction, Traffic

CONFIG = WorkerConfig(
    worker="w1", endpoint="e", release="r1", generation=3, model="a b", version=7, digest="sha256:0", artifacts="/m",
    folder="/w", host="127.0.0.1", port=5002, listener_fd=9, body_limit=10,
)  # fmt: skip


def test_what_a_worker_is_told_survives_the_pipe() -> None:
    assert WorkerConfig.decode(CONFIG.encode()) == CONFIG
    status = WorkerStatus("w1", "e", "r1", 3, 42, "ready", "127.0.0.1", 5002, "")
    assert WorkerStatus.decode(status.encode()) == status
    with pytest.raises((ValueError, TypeError)):
        WorkerConfig.decode(b"{}")


def test_the_digest_changes_with_any_byte_and_any_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "model.pkl").write_bytes(b"abc")
    before = manifest_of(tmp_path)
    assert [(file.path, file.size) for file in before.files] == [("data/model.pkl", 3)]
    (tmp_path / "data" / "model.pkl").write_bytes(b"abd")
    assert manifest_of(tmp_path).digest != before.digest
    (tmp_path / "data" / "model.pkl").write_bytes(b"abc")
    assert manifest_of(tmp_path).digest == before.digest
    (tmp_path / "data" / "model.pkl").rename(tmp_path / "data" / "other.pkl")
    assert manifest_of(tmp_path).digest != before.digest


def test_a_missing_library_is_named_with_the_models_own_requirement(tmp_path: Path) -> None:
    error = RuntimeError("cannot load")
    error.__cause__ = ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    assert "pip install 'scikit-learn'" in why_it_did_not_load(error, tmp_path)
    (tmp_path / "requirements.txt").write_text("mlflow\nscikit_learn==1.5.0\n")
    assert "pip install 'scikit_learn==1.5.0'" in why_it_did_not_load(error, tmp_path)


def test_a_reason_is_one_short_line(tmp_path: Path) -> None:
    assert why_it_did_not_load(ValueError("two\nlines"), tmp_path) == "ValueError: two lines"
    assert why_it_did_not_load(SystemExit(), tmp_path) == "SystemExit"
    assert len(why_it_did_not_load(ValueError("x" * 1000), tmp_path)) == 400


def test_latencies_are_counted_cumulatively() -> None:
    metrics = Metrics({"model": 'a"b'})
    for seconds in (0.0005, 0.3, 100.0):
        metrics.predicted(seconds)
    text = metrics.text().decode()
    assert 'lockgate_invocation_seconds_bucket{model="a\\"b",le="0.001"} 1' in text
    assert 'le="0.5"} 2' in text
    assert 'le="+Inf"} 3' in text


def test_a_full_queue_says_so_at_once_and_a_late_prediction_leaves_room_for_the_next() -> None:
    release = threading.Event()

    async def scene() -> None:
        predictions = Predictions(threads=1, queue_limit=1)
        slow = asyncio.ensure_future(predictions.run(release.wait, 0.05))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await predictions.run(lambda: 1, 1)
        with pytest.raises(TooSlow):
            await slow
        assert await predictions.run(lambda: 2, 10) == 2

    try:
        asyncio.run(scene())
    finally:
        release.set()


class _Echo:
    def score(self, body: bytes, content_type: str) -> Answer:
        return Answer(200, json.dumps([body.decode(), content_type]).encode())


def ask(edge: Edge, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[bytes, bytes], bytes]:
    """One request to the edge, without a socket."""
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: object) -> None:
        assert isinstance(event, dict)
        sent.append(event)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": raw,
    }
    asyncio.run(edge(scope, receive, send))
    start, end = sent
    return int(str(start["status"])), dict(start["headers"]), bytes(end["body"])  # type: ignore[call-overload]


def edge(direction: Direction | None = None) -> Edge:
    made = Edge(CONFIG, direction or Direction(), Predictions(threads=1, queue_limit=4), Metrics({}))
    made.scorer = _Echo()
    return made


@pytest.mark.parametrize("path", ["/invocations", "/models/a%20b/invocations"])
def test_an_invocation_reaches_the_model_with_its_content_type(path: str) -> None:
    status, headers, body = ask(edge(), "POST", path, b"hi", content_type="text/csv")
    assert (status, json.loads(body)) == (200, ["hi", "text/csv"])
    assert headers[b"x-lockgate-model"] == b"a%20b"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/invocations", 405),
        ("POST", "/ping", 405),
        ("GET", "/", 404),
        ("POST", "/models/c/invocations", 404),
        ("POST", "/models/a/b/invocations", 404),
    ],
)
def test_what_is_not_there_is_refused_in_mlflows_form(method: str, path: str, status: int) -> None:
    got, _, body = ask(edge(), method, path)
    assert got == status
    assert {"error_code", "message"} <= json.loads(body).keys()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5002", "127.0.0.1:80", "[::1]:5002", "[::1]"])
def test_this_machines_own_names_are_answered(host: str) -> None:
    assert ask(edge(), "GET", "/ping", host=host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:5002", "[::2]", ""])
def test_any_other_name_is_not(host: str) -> None:
    assert ask(edge(), "GET", "/ping", host=host)[0] == 403


def test_a_long_body_is_refused_whether_or_not_its_length_is_told() -> None:
    assert ask(edge(), "POST", "/invocations", b"x" * 11)[0] == 413
    assert ask(edge(), "POST", "/invocations", b"", content_length="11")[0] == 413
    assert ask(edge(), "POST", "/invocations", b"x" * 10)[0] == 200


def test_a_worker_without_a_successor_refuses_and_hangs_up() -> None:
    direction = Direction()
    direction.now = Traffic.REFUSE
    status, headers, _ = ask(edge(direction), "POST", "/invocations", b"x")
    assert (status, headers[b"connection"], headers[b"retry-after"]) == (503, b"close", b"1")
