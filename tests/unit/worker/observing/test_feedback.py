"""What is taken as feedback, and what is answered to the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.observing import feedback
from lockgate.worker.observing.feedback import Feedback, Wrong, read
from lockgate.worker.observing.watch import Watch
from tests.unit.worker.observing.test_counting import config, of, series


def test_one_label_or_many_are_read() -> None:
    assert read(b'{"request_id": "a", "label": 1}') == [{"request_id": "a", "row": None, "label": "1"}]
    many = {"feedback": [{"request_id": "a", "label": {"x": [None]}, "row": 0}, {"request_id": "b", "label": "no"}]}
    assert read(json.dumps(many).encode()) == [
        {"request_id": "a", "row": 0, "label": '{"x": [null]}'},
        {"request_id": "b", "row": None, "label": '"no"'},
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"request_id": "a", "label": NaN}', "not JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "`label` is missing"),
        (b'{"request_id": "a"}', "`label` is missing"),
        (b'{"label": 1}', "`request_id` is"),
        (b'{"request_id": "", "label": 1}', "`request_id` is"),
        (b'{"request_id": "a\\n", "label": 1}', "`request_id` is"),
        (b'{"request_id": 5, "label": 1}', "`request_id` is"),
        (b'{"request_id": "a", "label": 1, "row": -1}', "`row` is"),
        (b'{"request_id": "a", "label": 1, "row": true}', "`row` is"),
        (b'{"request_id": "a", "label": 1, "row": 2147483648}', "`row` is"),
        (b'{"request_id": "a", "label": 1, "lable": 2}', "no field 'lable'"),
        (b'{"feedback": []}', "at least one"),
        (b'{"feedback": {}}', "at least one"),
        (b'{"feedback": [{"request_id": "a", "label": 1}], "row": 1}', "stands alone"),
        (b'{"feedback": [{"request_id": "a", "label": 1}, 5]}', "feedback[1]: This is no JSON object"),
        (b'{"request_id": "a", "label": "%s"}' % (b"x" * 70_000), "65536 are the limit"),
        (b" " * (feedback.LARGEST_BODY + 1), "are the limit"),
        (b'{"feedback": [%s]}' % b",".join([b"1"] * 10_001), "10000 at once"),
    ],
)
def test_what_is_no_feedback_is_told_why(body: bytes, told: str) -> None:
    with pytest.raises(Wrong) as raised:
        read(body)
    assert told in str(raised.value)


class FakeKeeper:
    """Has room or not, and writes when it is told to."""

    def __init__(self, *, room: bool = True) -> None:
        self.room = room
        self.written: Callable[[bool], None] | None = None

    def labels(self, rows: Sequence[dict[str, Any]], size: int, written: Callable[[bool], None]) -> bool:
        self.written = written
        return self.room


def asked(keeper: FakeKeeper, body: bytes, *deeds: Callable[[], None]) -> list[Answer]:
    """What is answered to a body when these deeds follow."""
    answers: list[Answer] = []

    async def scene() -> None:
        takes = Feedback(keeper, asyncio.get_running_loop())  # type: ignore[arg-type]
        takes(Request(b"POST", b"/feedback", b"", [], body), answers.append)
        for deed in deeds:
            await asyncio.to_thread(deed)
        await asyncio.sleep(0)

    asyncio.run(scene())
    return answers


def test_a_label_is_confirmed_once_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"request_id": "a", "label": 1}'
    keeper = FakeKeeper()
    assert asked(keeper, body) == []
    keeper = FakeKeeper()
    (answer,) = asked(keeper, body, lambda: keeper.written and keeper.written(True))
    assert (answer.status, json.loads(answer.body)) == (200, {"kept": 1})
    keeper = FakeKeeper()
    (answer,) = asked(keeper, body, lambda: keeper.written and keeper.written(False))
    assert (answer.status, answer.headers) == (503, ((b"retry-after", b"1"),))
    (answer,) = asked(FakeKeeper(room=False), body)
    assert answer.status == 503
    (answer,) = asked(FakeKeeper(), b"nothing")
    assert answer.status == 400
    assert "request_id" in json.loads(answer.body)["message"]


def test_a_disk_that_hangs_is_answered_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "_WRITTEN_WITHIN", 0.0)
    keeper = FakeKeeper()
    (answer,) = asked(
        keeper, b'{"request_id": "a", "label": 1}', lambda: None, lambda: keeper.written and keeper.written(True)
    )
    assert answer.status == 503


def test_labels_and_predictions_are_counted_and_kept_by_the_watch(tmp_path: Path) -> None:
    async def scene() -> list[Answer]:
        told = replace(config(tmp_path / "groups", "w1"), predictions=str(tmp_path / "kept"), log_predictions=1.0)
        watch = Watch(told)
        watch.loaded("native")
        watch.start(asyncio.get_running_loop())
        request = Request(b"POST", b"/invocations", b"", [], b"{}", b"application/json", b"a")
        watch.answered(request, Answer(200, b"{}", rows=1), 0.001, invocation=True)
        watch.answered(request, Answer(200, b"\n"), 0.001, invocation=False)
        answers: list[Answer] = []
        there = asyncio.Event()

        def reply(answer: Answer) -> None:
            answers.append(answer)
            there.set()

        assert watch.feedback is not None
        watch.feedback(Request(b"POST", b"/feedback", b"", [], b'{"request_id": "a", "label": 1}'), reply)
        await asyncio.wait_for(there.wait(), 10)
        await asyncio.to_thread(watch.close)
        counted = series(watch.text())
        assert of(counted, "lockgate_log_records_total", 'outcome="prediction_kept"') == 1
        assert of(counted, "lockgate_log_records_total", 'outcome="label_kept"') == 1
        return answers

    (answer,) = asyncio.run(scene())
    assert answer.status == 200
    kept = sorted(path.parent.parent.name for path in (tmp_path / "kept").rglob("*.parquet"))
    assert kept == ["feedback", "predictions"]
