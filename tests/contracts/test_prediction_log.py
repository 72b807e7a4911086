"""What a worker keeps is what the server reads: they know nothing of each other but names and columns of files."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from lockgate.adapters.predictions import parquet
from lockgate.adapters.predictions.parquet import ParquetPredictions
from lockgate.domain.errors import BadInput
from lockgate.usecases.prediction_ports import Asked, LoggedPrediction
from lockgate.wire.predictions import FEEDBACK, PREDICTIONS, SPOOL, SPOOLED, days_folder, folder_of
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.observing import keeping
from lockgate.worker.observing.keeping import Keeper
from lockgate.worker.observing.spool import Spool, settle_what_is_left

DAY = date(2026, 11, 23)
START = 1795435200  # noon of that day, UTC


def config(root: Path) -> WorkerConfig:
    return WorkerConfig(
        worker="w1", endpoint="e1", release="r1", generation=3, model="fraud", version=7, digest="sha256:0",
        artifacts="/m", folder="/w", host="127.0.0.1", port=5002, listener_fd=9, environment="production",
        predictions=str(root), log_predictions=1.0,
    )  # fmt: skip


class Clock:
    """Stands in for the module `time` of the keeper."""

    def __init__(self) -> None:
        self.now = float(START)

    def time(self) -> float:
        self.now += 1
        return self.now

    @staticmethod
    def monotonic() -> float:
        return 1.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keeping, "time", clock)
    return clock


def kept(root: Path, *ids: str, settled: bool = True) -> Keeper:
    """A keeper that was told of answers to requests of these ids, one a second."""
    keeper = Keeper(config(root), lambda *_: None)
    for id in ids:
        body = b'{"inputs": [["' + id.encode() + b'"]]}'
        request = Request(b"POST", b"/invocations", b"", [], body, b"application/json", id.encode())
        keeper.offer(request, Answer(200, b'{"predictions": [1]}', rows=1), 0.25)
    if settled:
        keeper.close()
    return keeper


def labelled(root: Path, label: object, id: str, *, row: int | None = None, day: date = DAY, second: int = 0) -> None:
    spool = Spool(folder_of(root, "production", "fraud"), FEEDBACK)
    line = {"time": (START + second) * 1_000_000, "request_id": id, "row": row, "label": json.dumps(label)}
    spool.write(str(day), [json.dumps(line).encode() + b"\n"])
    spool.settle()


def read(root: Path, limit: int = 10, **more: str) -> tuple[list[str], str]:
    page = ParquetPredictions(root).read("production", "fraud", Asked(DAY, limit, **more))
    return [each.request_id for each in page.predictions], page.after


def test_predictions_are_read_with_the_labels_that_came_for_them(tmp_path: Path, clock: Clock) -> None:
    kept(tmp_path, "a", "b")
    labelled(tmp_path, "late", "a", day=date(2026, 12, 24), second=9)
    labelled(tmp_path, {"x": 1}, "a", row=0, second=5)
    labelled(tmp_path, "before the day", "a", day=date(2026, 11, 22))
    labelled(tmp_path, "of nobody", "z")
    page = ParquetPredictions(tmp_path).read("production", "fraud", Asked(DAY, 10))
    newest, oldest = page.predictions
    assert (newest.request_id, newest.labels) == ("b", ())
    assert [(label.label, label.row) for label in oldest.labels] == [('{"x": 1}', 0), ('"late"', None)]
    assert replace(oldest, labels=()) == LoggedPrediction(
        time=datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC),
        request_id="a",
        model="fraud",
        version=7,
        release="r1",
        engine="native",
        status=200,
        rows=1,
        seconds=0.25,
        content_type="application/json",
        input='{"inputs": [["a"]]}',
        output='{"predictions": [1]}',
    )
    assert page.after == ""


def test_what_is_in_no_parquet_file_yet_is_read_too(tmp_path: Path, clock: Clock) -> None:
    kept(tmp_path, "a", "b")
    keeper = kept(tmp_path, "c", settled=False)
    heard: list[bool] = []
    assert keeper.labels([{"request_id": "c", "row": None, "label": "1"}], 1, heard.append)
    while not heard:  # the keeper says so within a moment, and the test has its own limit
        keeper._wake.wait(0.01)
    assert read(tmp_path)[0] == ["c", "b", "a"]
    page = ParquetPredictions(tmp_path).read("production", "fraud", Asked(DAY, 1))
    assert [label.label for label in page.predictions[0].labels] == ["1"]
    keeper.close()
    assert read(tmp_path)[0] == ["c", "b", "a"]


def test_pages_go_on_where_one_ended_across_files(tmp_path: Path, clock: Clock) -> None:
    for some in ("ab", "cde", "f"):
        kept(tmp_path, *some)
    seen: list[str] = []
    after = ""
    while True:
        ids, after = read(tmp_path, limit=2, after=after)
        seen += ids
        if not after:
            break
    assert seen == list("fedcba")


def test_a_page_is_no_larger_than_it_may_be(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(tmp_path, *"abc")
    monkeypatch.setattr(parquet, "_LARGEST_PAGE", 50)
    ids, after = read(tmp_path)
    assert ids == ["c"]
    assert read(tmp_path, after=after)[0] == ["b"]


def test_one_request_is_found_by_its_id(tmp_path: Path, clock: Clock) -> None:
    kept(tmp_path, *"abc")
    assert read(tmp_path, request_id="b") == (["b"], "")
    assert read(tmp_path, request_id="nobody") == ([], "")


def test_a_spool_counts_rather_than_the_file_that_is_being_made_of_it(tmp_path: Path, clock: Clock) -> None:
    kept(tmp_path, "a")
    folder = folder_of(tmp_path, "production", "fraud")
    (whole,) = folder.glob(f"{PREDICTIONS}/*/*.parquet")
    row = pyarrow.parquet.ParquetFile(whole).read().to_pylist()[0]
    line = json.dumps({**row, "time": int(row["time"].timestamp()) * 1_000_000})
    spool = folder / SPOOL / f"{PREDICTIONS}.{DAY}.{whole.stem}{SPOOLED}"
    spool.write_text(f'{line}\n{{"time": 17')
    assert read(tmp_path)[0] == ["a"]
    settle_what_is_left(folder)
    assert read(tmp_path)[0] == ["a"]


def test_a_broken_file_hides_no_other(tmp_path: Path, clock: Clock) -> None:
    kept(tmp_path, "a")
    place = days_folder(folder_of(tmp_path, "production", "fraud"), PREDICTIONS, str(DAY))
    (place / "broken.parquet").write_bytes(b"PAR1")
    (place / ".half.parquet").write_bytes(b"")
    pyarrow.parquet.write_table(pyarrow.table({"other": [1]}), place / "other.parquet")
    assert read(tmp_path)[0] == ["a"]


def test_where_nothing_was_logged_nothing_is_read(tmp_path: Path) -> None:
    assert read(tmp_path) == ([], "")


@pytest.mark.parametrize("after", ["x", ":", "x:y", "-1:a", "1" * 19 + ":a"])
def test_what_no_page_ended_with_is_refused(tmp_path: Path, after: str) -> None:
    with pytest.raises(BadInput, match="No page ended"):
        read(tmp_path, after=after)
