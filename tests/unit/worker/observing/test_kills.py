"""Workers are killed while they write, convert and take over: what was confirmed is there, and there once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest

from lockgate.wire.predictions import FEEDBACK, SPOOL, folder_of
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.observing.keeping import Keeper
from lockgate.worker.observing.watch import Watch
from tests.unit.worker.observing.test_counting import config, of, series

WORKER = """
import itertools, sys, threading
from pathlib import Path
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.observing import keeping, spool
from lockgate.worker.observing.watch import Watch

keeping._GATHERED_SECONDS = 0.0
spool.LARGEST = 400  # bytes: a Parquet file every few rows
watch = Watch(WorkerConfig.decode(sys.stdin.readline()))
first = sys.argv[1]
for number in itertools.count():
    id = f"{first}-{number}"
    watch.answered(Request(b"GET", b"/ping", b"", [], b""), Answer(200, b""), 0.001, invocation=False)
    done = threading.Event()
    watch._keeper.labels([{"request_id": id, "row": None, "label": "1"}], 1, lambda written: done.set())
    done.wait()
    print(id, flush=True)
"""


@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_whenever_a_worker_is_killed_what_it_confirmed_is_kept_and_counted_once(tmp_path: Path, kills: int) -> None:
    confirmed: list[str] = []
    for kill in range(kills):
        told = _config(tmp_path, f"w{kill}")
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(kill)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(told.encode().decode() + "\n")
        worker.stdin.flush()
        confirmed += [worker.stdout.readline().strip() for _ in range(random.Random(kill).randrange(5, 40))]
        worker.send_signal(signal.SIGKILL)
        confirmed += worker.stdout.read().split()  # what it said before it was dead
        worker.stdin.close()
        worker.stdout.close()
        assert worker.wait() == -signal.SIGKILL

    last = _config(tmp_path, "last")
    keeper = Keeper(last, lambda *_: None)
    assert keeper.labels([{"request_id": "end", "row": None, "label": "1"}], 1, lambda written: None)
    keeper.close()
    folder = folder_of(tmp_path / "kept", "production", last.model)
    assert not list((folder / SPOOL).iterdir())
    files = [pyarrow.parquet.ParquetFile(path).read(["request_id"]) for path in folder.glob(f"{FEEDBACK}/*/[!.]*")]
    there = Counter(row["request_id"] for file in files for row in file.to_pylist())
    assert set(there.values()) == {1}
    assert set(confirmed) <= set(there)
    assert len(there) <= len(confirmed) + kills + 1  # of each worker the one that it did not get to say

    counted = of(series(Watch(last).text()), "lockgate_requests_total", 'code="200"')
    assert len(confirmed) <= counted <= len(confirmed) + 2 * kills


def _config(root: Path, worker: str) -> WorkerConfig:
    return replace(config(root / "groups", worker), predictions=str(root / "kept"))
