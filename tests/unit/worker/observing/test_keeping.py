"""What is kept of predictions and labels: whole files, whatever happens to the process, and at no request's cost."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from lockgate.wire.predictions import FEEDBACK, PREDICTIONS, SPOOL, days_folder, folder_of
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.observing import keeping, spool
from lockgate.worker.observing.keeping import Keeper
from lockgate.worker.observing.spool import Spool, day_of, forget, settle_what_is_left

DAY = "2026-11-23"
LINE = b'{"time":1764000000000000,"request_id":"a","row":null,"label":"1"}\n'


def config(root: Path, share: float = 1.0) -> WorkerConfig:
    return WorkerConfig(
        worker="w1", endpoint="e1", release="r1", generation=3, model="fraud/../model", version=7, digest="sha256:0",
        artifacts="/m", folder="/w", host="127.0.0.1", port=5002, listener_fd=9, environment="production",
        predictions=str(root), log_predictions=share,
    )  # fmt: skip


def request(number: int, body: bytes = b'{"inputs": [[1]]}') -> Request:
    return Request(b"POST", b"/invocations", b"", [], body, b"application/json", b"id-%d" % number)


def rows(folder: Path, kind: str) -> list[dict]:
    files = sorted(folder.glob(f"{kind}/day=*/*.parquet"))
    return [row for file in files for row in pyarrow.parquet.ParquetFile(file).read().to_pylist()]


def test_predictions_become_parquet_files_of_their_day(tmp_path: Path) -> None:
    counted: Counter[str] = Counter()
    keeper = Keeper(config(tmp_path), lambda what, n: counted.update({what: n}))
    keeper.loaded("onnx")
    for number in range(100):
        keeper.offer(request(number), Answer(200, b'{"predictions": [0.5]}', rows=1), 0.0004)
    keeper.close()
    folder = folder_of(tmp_path, "production", "fraud/../model")
    kept = rows(folder, PREDICTIONS)
    assert [row["request_id"] for row in kept] == [f"id-{number}" for number in range(100)]
    first = kept[0]
    assert (first["input"], first["output"]) == ('{"inputs": [[1]]}', '{"predictions": [0.5]}')
    assert (first["engine"], first["version"], first["seconds"], first["status"]) == ("onnx", 7, 0.0004, 200)
    assert first["time"].tzinfo is not None
    assert days_folder(folder, PREDICTIONS, first["time"].strftime("%Y-%m-%d")).is_dir()
    assert not list((folder / SPOOL).iterdir())
    for place in (folder.parent, *(path for path in folder.rglob("*"))):
        assert not place.stat().st_mode & 0o077, f"{place} is open to others"
    assert counted == {"prediction_kept": 100}
    assert folder.is_relative_to(tmp_path / "production")


def test_a_body_that_is_no_text_is_kept_as_far_as_it_is_one(tmp_path: Path) -> None:
    keeper = Keeper(config(tmp_path), lambda *_: None)
    keeper.offer(request(1, b"\xff\x00\xed\xa0\x80caf\xc3\xa9"), Answer(400, b""), 0.1)
    keeper.close()
    (row,) = rows(folder_of(tmp_path, "production", "fraud/../model"), PREDICTIONS)
    assert row["input"].startswith("�\x00")
    assert row["input"].endswith("café")


def test_what_has_no_room_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: Counter[str] = Counter()
    monkeypatch.setattr(keeping, "MOST_WAITING", 5)
    monkeypatch.setattr(keeping, "LARGEST", 1000)
    going = threading.Event()
    monkeypatch.setattr(Keeper, "_run", lambda self: going.wait())
    keeper = Keeper(config(tmp_path), lambda what, n: counted.update({what: n}))
    for number in range(8):
        keeper.offer(request(number), Answer(200, b""), 0.1)
    assert counted == {"prediction_dropped": 3}
    assert not keeper.labels([{"request_id": "a", "row": None, "label": "1"}], 1, lambda written: None)
    keeper.offer(request(9, b"x" * 1001), Answer(200, b""), 0.1)
    assert counted == {"prediction_dropped": 4, "label_dropped": 1}
    going.set()


def test_a_full_disk_drops_and_counts_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counted: Counter[str] = Counter()
    monkeypatch.setattr(spool, "LEAST_FREE", 2**80)
    keeper = Keeper(config(tmp_path), lambda what, n: counted.update({what: n}))
    keeper.offer(request(1), Answer(200, b""), 0.1)
    heard: list[bool] = []
    assert keeper.labels([{"request_id": "a", "row": None, "label": "1"}], 1, heard.append)
    keeper.close()
    assert counted == {"prediction_dropped": 1, "label_dropped": 1}
    assert heard == [False]
    assert "cannot be kept" in caplog.text


def test_only_the_share_that_is_wanted_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper(config(tmp_path, share=0.25), lambda *_: None)
    draws = iter([0.1, 0.3, 0.24, 0.25])
    monkeypatch.setattr(keeping, "random", lambda: next(draws))
    for number in range(4):
        keeper.offer(request(number), Answer(200, b""), 0.1)
    keeper.close()
    folder = folder_of(tmp_path, "production", "fraud/../model")
    assert [row["request_id"] for row in rows(folder, PREDICTIONS)] == ["id-0", "id-2"]


KILLED = """
import os, signal, sys
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.observing.keeping import Keeper

keeper = Keeper(WorkerConfig.decode(sys.stdin.readline()), lambda what, n: os.kill(os.getpid(), signal.SIGKILL))
keeper.offer(Request(b"POST", b"/invocations", b"", [], b"{}", b"", b"the-one"), Answer(200, b"{}"), 0.1)
keeper._thread.join()
"""


def test_a_prediction_that_was_counted_as_kept_outlives_a_kill(tmp_path: Path) -> None:
    told = config(tmp_path)
    killed = subprocess.run([sys.executable, "-c", KILLED], input=told.encode(), check=False)
    assert killed.returncode == -signal.SIGKILL
    folder = folder_of(tmp_path, "production", told.model)
    (left,) = (folder / SPOOL).iterdir()
    left.write_bytes(left.read_bytes() + b'{"time":17640')  # as when it is killed while it writes
    assert not rows(folder, PREDICTIONS)
    Keeper(told, lambda *_: None).close()
    assert [row["request_id"] for row in rows(folder, PREDICTIONS)] == ["the-one"]
    assert not list((folder / SPOOL).iterdir())


def test_a_spool_that_was_made_a_file_of_and_not_removed_is_there_once(tmp_path: Path) -> None:
    one = Spool(tmp_path, FEEDBACK)
    one.write(DAY, [LINE, LINE])
    (path,) = (tmp_path / SPOOL).iterdir()
    kept = path.read_bytes()
    one.settle()
    path.write_bytes(kept)
    settle_what_is_left(tmp_path)
    assert len(rows(tmp_path, FEEDBACK)) == 2


def test_a_living_workers_spool_is_left_alone(tmp_path: Path) -> None:
    one = Spool(tmp_path, FEEDBACK)
    one.write(DAY, [LINE])
    settle_what_is_left(tmp_path)
    assert not rows(tmp_path, FEEDBACK)
    assert one.due
    one.write("2026-11-24", [LINE])
    assert len(rows(tmp_path, FEEDBACK)) == 1
    one.settle()
    assert not one.due
    assert sorted(path.name for path in (tmp_path / FEEDBACK).iterdir()) == [f"day={DAY}", "day=2026-11-24"]


def test_a_large_spool_becomes_a_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "LARGEST", 2 * len(LINE))
    one = Spool(tmp_path, FEEDBACK)
    for _ in range(5):
        one.write(DAY, [LINE])
    assert len(rows(tmp_path, FEEDBACK)) == 4
    one.settle()


def test_a_spool_that_cannot_be_read_stays_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / SPOOL
    folder.mkdir()
    broken = folder / f"{FEEDBACK}.{DAY}.00.jsonl"
    for content in (b"not json\n", b'{"other": 1}\n', b'{"time": "x"}\n'):
        broken.write_bytes(content)
        settle_what_is_left(tmp_path)
        assert broken.exists()
    assert "could not be put into a Parquet file" in caplog.text


def test_days_that_are_over_are_removed(tmp_path: Path) -> None:
    for day in ("2026-11-20", "2026-11-21", DAY):
        days_folder(tmp_path, PREDICTIONS, day).mkdir(parents=True)
    forget(tmp_path, 2, datetime(2026, 11, 23, tzinfo=UTC))
    assert sorted(path.name for path in (tmp_path / PREDICTIONS).iterdir()) == ["day=2026-11-21", f"day={DAY}"]


def test_whatever_a_model_is_called_its_folder_is_its_own(tmp_path: Path) -> None:
    names = ["a", "A", "..", ".", "a/b", "a%2Fb", "x" * 300, "x" * 301, "é" * 100, "", " "]
    folders = [folder_of(tmp_path, "production", name) for name in names]
    assert len(set(folders)) == len(names)
    assert {folder.parent for folder in folders} == {tmp_path / "production"}
    for folder in folders:
        folder.mkdir(parents=True)


def test_nothing_is_begun_for_a_model_of_which_nothing_is_kept(tmp_path: Path) -> None:
    keeper = Keeper(config(tmp_path, share=0.0), lambda *_: None)
    keeper.offer(request(1), Answer(200, b""), 0.1)
    keeper.close()
    assert not list(tmp_path.iterdir())


def test_labels_are_taken_where_no_prediction_is_kept(tmp_path: Path) -> None:
    keeper = Keeper(replace(config(tmp_path), log_predictions=0.0), lambda *_: None)
    heard: list[bool] = []
    assert keeper.labels([{"request_id": "a", "row": 3, "label": json.dumps({"x": 1})}], 20, heard.append)
    keeper.close()
    assert heard == [True]
    (row,) = rows(folder_of(tmp_path, "production", "fraud/../model"), FEEDBACK)
    assert (row["request_id"], row["row"], row["label"]) == ("a", 3, '{"x": 1}')
    shutil.rmtree(tmp_path / "production")


def test_a_day_is_the_one_in_utc() -> None:
    assert day_of(1795478399.9) == "2026-11-23"
    assert day_of(1795478400.0) == "2026-11-24"
