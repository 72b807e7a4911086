"""What the workers of a group count together."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.observing.watch import Watch

REQUEST = Request(b"POST", b"/invocations", b"", [], b"{}")


def config(
    groups: Path, worker: str, *, endpoint: str = "e1", release: str = "r1", model: str = "fraud model"
) -> WorkerConfig:
    return WorkerConfig(
        worker=worker, endpoint=endpoint, release=release, generation=3, model=model, version=7, digest="sha256:0",
        artifacts="/m", folder="/w", host="127.0.0.1", port=5002, listener_fd=9, environment="production",
        group=str(groups / "production" / endpoint / release),
    )  # fmt: skip


def series(text: bytes) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def of(told: dict[str, float], name: str, *labels: str) -> float:
    found = [
        value for key, value in told.items() if key.startswith(name + "{") and all(label in key for label in labels)
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


DYING = """
import os, signal, sys
from pathlib import Path
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.observing.watch import Watch

for line in sys.stdin:
    watch = Watch(WorkerConfig.decode(line), busy=lambda: 3)
    watch.answered(Request(b"POST", b"/invocations", b"", [], b""), Answer(500, b""), 0.001, invocation=True)
    watch.text()
os.kill(os.getpid(), signal.SIGKILL)
"""


def die(groups: Path, *workers: str) -> None:
    """Count one answer of each of these workers in a process that is killed while it holds their files."""
    told = b"\n".join(config(groups, worker).encode() for worker in workers)
    assert subprocess.run([sys.executable, "-c", DYING], input=told, check=False).returncode == -signal.SIGKILL


def test_any_worker_tells_what_all_of_its_group_counted(tmp_path: Path) -> None:
    one, other = Watch(config(tmp_path, "w1"), busy=lambda: 2), Watch(config(tmp_path, "w2"), busy=lambda: 1)
    one.answered(REQUEST, Answer(200, b"", rows=5), 0.0003, invocation=True)
    other.answered(REQUEST, Answer(200, b"", rows=2), 0.2, invocation=True)
    other.answered(REQUEST, Answer(404, b""), 0.001, invocation=False)
    other.text()
    told = series(one.text())
    assert of(told, "lockgate_requests_total", 'code="200"', 'model="fraud model"', 'version="7"', 'release="r1"') == 2
    assert of(told, "lockgate_requests_total", 'code="404"', 'environment="production"') == 1
    assert of(told, "lockgate_rows_total") == 7
    assert of(told, "lockgate_requests_in_flight") == 3
    assert of(told, "lockgate_invocation_seconds_count") == 2
    assert of(told, "lockgate_invocation_seconds_sum") == pytest.approx(0.2003)


def test_latencies_are_counted_cumulatively(tmp_path: Path) -> None:
    watch = Watch(config(tmp_path, "w1"))
    for seconds in (0.0001, 0.0005, 0.3, 100.0):
        watch.answered(REQUEST, Answer(200, b""), seconds, invocation=True)
    told = series(watch.text())
    counted = {
        edge: of(told, "lockgate_invocation_seconds_bucket", f'le="{edge}"') for edge in ("0.0001", "0.5", "+Inf")
    }
    assert counted == {"0.0001": 1, "0.5": 3, "+Inf": 4}


def test_what_a_killed_worker_counted_is_kept_and_what_it_was_doing_is_not(tmp_path: Path) -> None:
    die(tmp_path, "w1", "w2")
    watch = Watch(config(tmp_path, "w3"))
    die(tmp_path, "w4")
    told = series(watch.text())
    assert of(told, "lockgate_requests_total", 'code="500"') == 3
    assert of(told, "lockgate_requests_in_flight") == 0
    assert of(told, "lockgate_workers") == 1


def test_workers_that_keep_dying_leave_no_heap_of_files(tmp_path: Path) -> None:
    die(tmp_path, *(f"w{number}" for number in range(6)))
    watch = Watch(config(tmp_path, "last"))
    files = list((tmp_path / "production" / "e1" / "r1").glob("*.counts"))
    assert len(files) == 2
    assert of(series(watch.text()), "lockgate_requests_total", 'code="500"') == 6


def test_files_that_were_added_up_and_not_yet_removed_count_once(tmp_path: Path) -> None:
    die(tmp_path, "w1")
    folder = tmp_path / "production" / "e1" / "r1"
    left = (folder / "w1.counts").read_bytes()
    watch = Watch(config(tmp_path, "w2"))
    (folder / "w1.counts").write_bytes(left)
    assert of(series(watch.text()), "lockgate_requests_total", 'code="500"') == 1
    later = Watch(config(tmp_path, "w3"))
    assert of(series(later.text()), "lockgate_requests_total", 'code="500"') == 1
    assert not (folder / "w1.counts").exists()


def test_a_port_tells_of_its_whole_environment_or_of_its_endpoint_alone(tmp_path: Path) -> None:
    one = Watch(config(tmp_path, "w1"))
    Watch(config(tmp_path, "w2", release="r2"))
    Watch(config(tmp_path, "w3", endpoint="e2", model="churn"))
    of(series(one.text()), "lockgate_rows_total", 'model="churn"')
    alone = series(one.text(alone=True))
    assert not [name for name in alone if "churn" in name]
    of(alone, "lockgate_rows_total", 'release="r2"')


def test_a_broken_file_beside_them_harms_nobody(tmp_path: Path) -> None:
    watch = Watch(config(tmp_path, "w1"))
    for name, content in {"a": b"", "b": b"{}", "c": b"\xff" * 20000, "d": b"[]\n", "e": b" " * 16384}.items():
        (tmp_path / "production" / "e1" / "r1" / f"{name}.counts").write_bytes(content)
    watch.passed("handed")
    watch.passed("something new")
    told = series(Watch(config(tmp_path, "w2")).text())
    assert of(told, "lockgate_requests_passed_total", 'how="handed"') == 1
    assert of(told, "lockgate_requests_passed_total", 'how="other"') == 1


def test_the_engine_is_told_once_it_is_known(tmp_path: Path) -> None:
    watch = Watch(config(tmp_path, "w1"))
    watch.loaded("native")
    assert of(series(watch.text()), "lockgate_workers", 'engine="native"') == 1


def test_calls_of_the_model_are_counted_from_any_thread(tmp_path: Path) -> None:
    watch = Watch(config(tmp_path, "w1"))

    def call() -> None:
        for _ in range(500):
            watch.predicted(3, 30, 0.002)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watch.waiting(9)
    told = series(watch.text())
    assert of(told, "lockgate_batch_requests_sum") == 6000
    assert of(told, "lockgate_batch_rows_bucket", 'le="25.0"') == 0
    assert of(told, "lockgate_batch_rows_bucket", 'le="50.0"') == 2000
    assert of(told, "lockgate_predict_seconds_count") == 2000
    assert of(told, "lockgate_requests_waiting") == 9


def test_labels_that_have_no_room_are_refused(tmp_path: Path) -> None:
    watch = Watch(config(tmp_path, "w1"))
    with pytest.raises(ValueError, match="labels"):
        watch.loaded("x" * 20000)
