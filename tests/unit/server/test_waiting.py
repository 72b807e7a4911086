"""The front answers at once; everything else waits for what is built behind it."""

from __future__ import annotations

import asyncio
import threading

from lockgate.domain.errors import Conflict, LockgateError
from lockgate.server.replies import App
from lockgate.server.waiting import Waiting
from tests.unit.server.asgi import Echo, ask_inside


def _nobody(_error: LockgateError) -> None:
    raise AssertionError("it was built")


def test_health_answers_while_the_rest_is_still_being_built():
    go = threading.Event()

    def build() -> App:
        assert go.wait(30)
        return Echo([])

    async def scenario() -> None:
        waiting = Waiting(build, _nobody)
        waiting.start()
        assert (await ask_inside(waiting, path="/health")).body == b"OK"
        early = await ask_inside(waiting, path="/ready")
        assert (early.status, early.json["ready"]) == (503, False)
        asked = asyncio.create_task(ask_inside(waiting, path="/api/2.0/mlflow/x"))
        await asyncio.sleep(0)
        assert not asked.done()
        go.set()
        assert (await asked).status == 200
        assert (await ask_inside(waiting, path="/ready")).status == 200

    asyncio.run(scenario())


def test_a_request_does_not_wait_for_ever():
    go = threading.Event()

    def build() -> App:
        go.wait(30)
        return Echo([])

    async def scenario() -> None:
        waiting = Waiting(build, _nobody, wait_limit=0.05)
        waiting.start()
        try:
            answer = await ask_inside(waiting, path="/api/2.0/mlflow/x")
        finally:
            go.set()
        assert answer.status == 503
        assert answer.json["error_code"] == "TEMPORARILY_UNAVAILABLE"

    asyncio.run(scenario())


def test_what_keeps_it_from_starting_is_told_to_whoever_asks():
    told: list[LockgateError] = []

    def build() -> App:
        raise Conflict("The tables are at another revision.", hint="Upgrade them.")

    async def scenario() -> None:
        waiting = Waiting(build, told.append)
        waiting.start()
        assert (await ask_inside(waiting, path="/x")).status == 503
        assert "another revision" in (await ask_inside(waiting, path="/ready")).json["because"]

    asyncio.run(scenario())
    assert isinstance(told[0], Conflict)


def test_a_bug_while_building_is_told_without_a_traceback():
    told: list[LockgateError] = []

    def build() -> App:
        raise ZeroDivisionError("oh")

    async def scenario() -> None:
        waiting = Waiting(build, told.append)
        waiting.start()
        answer = await ask_inside(waiting, path="/x")
        assert "ZeroDivisionError: oh" in answer.json["message"]
        assert "Traceback" not in answer.json["message"]

    asyncio.run(scenario())
    assert "ZeroDivisionError" in str(told[0])
