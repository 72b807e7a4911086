"""One loaded version: how it loads, what it refuses, and which way its requests take."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.invocations.bodies import Form
from lockgate.worker.invocations.exact import Scorer
from lockgate.worker.invocations.reasons import NotLoaded
from lockgate.worker.invocations.served import Served
from tests.integration.scoring.subjects import Subject, make_subject
from tests.integration.scoring.watcher import Watcher


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make_subject("signed", tmp_path_factory.mktemp("served"))


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """MLflow's own code waits for this event."""
    event, score = threading.Event(), Scorer.score

    def slow(self: Scorer, body: bytes, content_type: str) -> Answer:
        event.wait(30)
        return score(self, body, content_type)

    monkeypatch.setattr(Scorer, "score", slow)
    yield event
    event.set()


def split(rows: list[list[float]]) -> bytes:
    return json.dumps({"dataframe_split": {"columns": ["a", "b", "c"], "data": rows}}).encode()


CSV = b"a,b,c\n1.5,2,3\n"


def put(served: Served, body: bytes, content_type: bytes = b"application/json") -> asyncio.Future[Answer]:
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    served.invoke(Request(b"POST", b"/invocations", b"", [], body, content_type), answer.set_result)
    return answer


def test_what_cannot_be_served_says_why(signed: Subject, tmp_path: Path) -> None:
    config = signed.config()
    with pytest.raises(NotLoaded, match="does not exist"):
        Served.load(dataclasses.replace(config, artifacts=str(tmp_path / "nowhere")), Watcher())
    with pytest.raises(NotLoaded, match="changed since they were pinned"):
        Served.load(dataclasses.replace(config, digest="sha256:0"), Watcher())


def test_an_engine_is_named_and_mlflows_own_way_can_be_asked_for(signed: Subject) -> None:
    served = Served.load(signed.config(), Watcher())
    plain = Served.load(signed.config(engine="pyfunc"), Watcher())
    assert (served.engine, plain.engine) == ("native", "pyfunc")
    assert b"x-lockgate-release: r1\r\n" in served.identity

    async def both() -> tuple[Answer, Answer]:
        body = split([[1.5, 2, 3], [-4, 5, 0.25]])
        return await put(served, body), await put(plain, body)

    fast, exact = asyncio.run(both())
    assert (fast.body, fast.rows, fast.identity) == (exact.body, exact.rows, exact.identity)
    for each in (served, plain):
        each.close()


def test_requests_of_one_turn_are_one_prediction_of_the_engine(signed: Subject) -> None:
    watcher = Watcher()
    served = Served.load(signed.config(), watcher)

    async def several() -> list[Answer]:
        return await asyncio.gather(*(put(served, split([[at, 1.5, 2]])) for at in range(5)))

    assert [answer.status for answer in asyncio.run(several())] == [200] * 5
    assert watcher.predictions == [(5, 5)]
    served.close()


def test_a_long_body_is_read_in_the_models_thread_and_answered_alike(signed: Subject) -> None:
    watcher = Watcher()
    served = Served.load(signed.config(), watcher)
    rows = [[at + 0.123456789, 1.0, -2.5] for at in range(-4000, 4000)]

    async def ask() -> tuple[Answer, list[Any]]:
        whole = await put(served, split(rows))
        parts = [await put(served, split(rows[at : at + 1000])) for at in range(0, len(rows), 1000)]
        return whole, [label for part in parts for label in json.loads(part.body)["predictions"]]

    whole, labels = asyncio.run(ask())
    assert len(split(rows)) > 128 * 1024
    assert json.loads(whole.body)["predictions"] == labels
    assert whole.rows == len(rows)
    served.close()


def test_a_form_that_was_not_tried_yet_is_tried_when_it_first_comes(signed: Subject) -> None:
    watcher = Watcher()
    served = Served.load(signed.config(), watcher)
    fast = served._fast
    assert fast is not None
    fast.found.clear()
    body = json.dumps({"inputs": [{"a": 1, "b": 2, "c": 3}]}).encode()

    async def ask() -> list[bytes]:
        first = await put(served, body)
        # the trial stands in the line before this one
        await put(served, CSV, b"text/csv")
        return [first.body, (await put(served, body)).body]

    bodies = asyncio.run(ask())
    assert bodies[0] == bodies[1]
    assert fast.found == {Form.INPUT_RECORDS: True}
    served.close()


def test_too_many_that_wait_are_refused_and_quick_ones_go_on(signed: Subject, held: threading.Event) -> None:
    held.set()
    served = Served.load(signed.config(queue_limit=2), Watcher())
    held.clear()

    async def scene() -> None:
        waiting = [put(served, CSV, b"text/csv") for _ in range(2)]
        refused = await put(served, CSV, b"text/csv")
        assert (refused.status, dict(refused.headers)) == (503, {b"retry-after": b"1"})
        assert (await put(served, split([[1, 2, 3.5]]))).status == 200
        held.set()
        assert [(await answer).status for answer in waiting] == [200, 200]

    asyncio.run(scene())
    served.close()


def test_a_prediction_that_takes_too_long_gets_mlflows_words_and_the_next_one_its_answer(
    signed: Subject, held: threading.Event
) -> None:
    held.set()
    served = Served.load(signed.config(timeout_seconds=0.05), Watcher())
    held.clear()

    async def scene() -> Answer:
        late = await put(served, CSV, b"text/csv")
        assert (late.status, late.body) == (504, b"Request processing time exceeded limit")
        assert not served.stuck.is_set()
        return await put(served, split([[1, 2, 3.5]]))

    assert asyncio.run(scene()).status == 200
    served.close()
