"""Work in a model's threads: its result, its time limit, and what is done about work that never ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from lockgate.worker.invocations.threads import Threads


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def ran(threads: Threads, work: Callable[[], Any], seconds: float) -> Awaitable[Any]:
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    threads.start(work, seconds, done.set_result)
    return done


def test_the_thread_that_loads_is_the_one_that_predicts() -> None:
    threads = Threads(1)
    loaded = threads.here(threading.get_ident)

    async def scene() -> int:
        return int(await ran(threads, threading.get_ident, 10))

    assert asyncio.run(scene()) == loaded != threading.get_ident()
    threads.close()


def test_late_work_is_told_of_and_leaves_room_for_the_next(release: threading.Event) -> None:
    threads = Threads(1)

    async def scene() -> None:
        assert await ran(threads, release.wait, 0.02) is None
        assert await ran(threads, lambda: 2, 10) == 2
        assert not threads.stuck.is_set()

    asyncio.run(scene())


def test_work_that_waits_for_a_thread_spends_its_time_too(release: threading.Event) -> None:
    threads = Threads(1)

    async def scene() -> None:
        slow = ran(threads, release.wait, 10)
        assert await ran(threads, lambda: 2, 0.02) is None
        release.set()
        assert await slow is True

    asyncio.run(scene())


def test_eight_predictions_that_never_end_are_too_many(release: threading.Event) -> None:
    threads = Threads(1)

    async def scene() -> None:
        for _ in range(8):
            assert await ran(threads, release.wait, 0.01) is None
        assert threads.stuck.is_set()

    asyncio.run(scene())


def test_what_ends_late_keeps_no_thread() -> None:
    threads = Threads(1)

    async def scene() -> None:
        for _ in range(9):
            slow = threading.Event()
            assert await ran(threads, slow.wait, 0.01) is None
            slow.set()
            assert await ran(threads, lambda: 2, 10) == 2
            while threads.kept:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.001)
        assert not threads.stuck.is_set()

    asyncio.run(scene())


def test_what_loading_raises_reaches_who_asked() -> None:
    threads = Threads(1)
    with pytest.raises(ZeroDivisionError):
        threads.here(lambda: 1 // 0)
    threads.close()
