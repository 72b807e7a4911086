"""Requests are put together, and each gets the answer to its own rows."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from lockgate.worker.http.messages import Answer, Reply, Request
from lockgate.worker.invocations.batches import Asked, Batches, Limits
from lockgate.worker.invocations.costs import Costs
from lockgate.worker.invocations.stalls import Stalls
from lockgate.worker.invocations.threads import Threads
from tests.unit.worker.invocations.pieces import Silent, Sums, request

QUICK = {1: 1e-6, 1024: 2e-6}
SLOW = {1: 0.5}


class Scene:
    """Batches over an engine, and what became of each request."""

    def __init__(
        self, engine: Sums, readings: dict[int, float], *, seconds: float = 10.0, wait: float = 0.0, rows: int = 1024
    ) -> None:
        self.engine = engine
        self.observer = Silent()
        self.threads = Threads(1)
        self.batches = Batches(
            engine, Costs(0.001, readings), self.threads, self.observer, Limits(rows, 256, seconds, wait),
            settle=lambda matrix: matrix, identity=b"", exact=self._exact, late=self._late,
            stalls=Stalls(60.0, lambda: None), changed=lambda: None,
        )  # fmt: skip

    async def ask(self, *every: Sequence[tuple[float, ...]], fortran: Sequence[bool] = ()) -> list[Any]:
        """What these requests, which come in one turn, are answered."""
        waiting = [self.put(rows, *fortran[at : at + 1]) for at, rows in enumerate(every)]
        return [await one for one in waiting]

    def put(self, rows: Sequence[tuple[float, ...]], fortran: bool = False) -> asyncio.Future[Any]:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def reply(answer: Answer) -> None:
            told = json.loads(answer.body)
            done.set_result(told["predictions"] if answer.status == 200 else answer.status)

        self.batches.add(Asked(request(), reply, rows, fortran))
        return done

    @staticmethod
    def _exact(_: Request, reply: Reply) -> None:
        reply(Answer(400, b"{}"))

    @staticmethod
    def _late(_: Request, reply: Reply) -> None:
        reply(Answer(504, b"{}"))


def test_requests_of_one_turn_are_one_prediction_and_each_gets_its_own_rows() -> None:
    scene = Scene(Sums(), QUICK)
    told = asyncio.run(scene.ask([(1, 2)], [(3, 4), (5, 6)], [(7, 8)]))
    assert told == [[3], [7, 11], [15]]
    assert scene.engine.asked == [4]
    assert scene.observer.predictions == [(3, 4)]


def test_rows_that_must_not_be_mixed_are_predicted_apart() -> None:
    scene = Scene(Sums(rowwise=False), QUICK)
    assert asyncio.run(scene.ask([(1, 2)], [(3, 4), (5, 6)])) == [[3], [7, 11]]
    assert scene.engine.asked == [1, 2]
    scene = Scene(Sums(), QUICK)
    assert asyncio.run(scene.ask([(1, 2)], [(3, 4)], [(5, 6)], fortran=[True, False, False])) == [[3], [7], [11]]
    assert scene.engine.asked == [1, 2]


def test_a_request_that_the_engine_raises_for_does_not_take_the_others_with_it() -> None:
    for readings in (QUICK, SLOW):
        scene = Scene(Sums(), readings)
        assert asyncio.run(scene.ask([(1, 2)], [(13, 0)], [(5, 6)])) == [[3], 400, [11]]


def test_an_answer_that_cannot_be_given_does_not_keep_the_others_from_theirs() -> None:
    scene = Scene(Sums(), QUICK)

    def gone(_: Answer) -> None:
        raise ConnectionError

    async def play() -> None:
        scene.batches.add(Asked(request(), gone, [(1, 2)]))
        assert await scene.put([(3, 4)]) == [7]

    asyncio.run(play())
    assert scene.engine.asked == [2]


def test_what_is_slow_runs_in_the_models_thread_and_quick_ones_do_not_wait_for_it() -> None:
    scene = Scene(Sums(), {1: 1e-6, 8: 0.0009})

    async def play() -> None:
        loop = asyncio.get_running_loop()
        scene.engine.go_on.clear()
        slow = scene.put([(1.0, 1.0)] * 100)
        await loop.run_in_executor(None, lambda: None)
        assert not slow.done()
        scene.engine.go_on.set()
        assert await scene.put([(1, 2)]) == [3]
        assert await slow == [2.0] * 100

    asyncio.run(play())
    assert {name.partition("_")[0] for name in scene.engine.threads} == {"MainThread", "model"}


def test_what_waits_for_the_thread_is_put_together_meanwhile() -> None:
    scene = Scene(Sums(), SLOW)

    async def play() -> None:
        scene.engine.go_on.clear()
        first = scene.put([(1, 2)])
        await asyncio.sleep(0)
        others = [scene.put([(at, at)]) for at in range(5)]
        await asyncio.sleep(0)
        assert scene.batches.waiting == 6
        scene.engine.go_on.set()
        assert await first == [3]
        assert [await other for other in others] == [[0], [2], [4], [6], [8]]
        assert scene.batches.waiting == 0

    asyncio.run(play())
    assert scene.engine.asked == [1, 5]


def test_a_prediction_that_does_not_end_is_given_up_and_the_next_gets_another_thread() -> None:
    scene = Scene(Sums(), SLOW, seconds=0.05)

    async def play() -> None:
        scene.engine.go_on.clear()
        assert await scene.put([(1, 2)]) == 504
        scene.engine.go_on.set()
        assert await scene.put([(1, 2)]) == [3]

    asyncio.run(play())


def test_a_request_may_wait_for_others_but_not_when_there_are_enough() -> None:
    scene = Scene(Sums(), QUICK, wait=0.01)

    async def play() -> None:
        first = scene.put([(1, 2)])
        await asyncio.sleep(0)
        second = scene.put([(3, 4)])
        assert (await first, await second) == ([3], [7])

    asyncio.run(play())
    assert scene.engine.asked == [2]
    scene = Scene(Sums(), QUICK, wait=60.0, rows=3)
    assert asyncio.run(scene.ask([(1, 2)], [(1, 2), (3, 4)])) == [[3], [3, 7]]


def test_a_flood_is_answered_in_several_turns_of_the_loop() -> None:
    scene = Scene(Sums(), {1: 0.0006, 2: 0.0011})
    assert asyncio.run(scene.ask(*[[(at, 1)] for at in range(12)])) == [[at + 1] for at in range(12)]
    assert scene.engine.asked == [1] * 12


def test_what_does_not_end_on_the_loops_thread_is_noticed_from_outside() -> None:
    ended = threading.Event()
    stalls = Stalls(0.01, ended.set, look_every=0.002)
    stalls.watch()
    stalls.since = time.perf_counter()
    assert ended.wait(30)


_PAUSED = """
import os, sys, time
from lockgate.worker.invocations.stalls import Stalls
stalls = Stalls(2.0, lambda: os._exit(4), look_every=0.1)
stalls.watch()
stalls.since = time.perf_counter()
print("begun", flush=True)
sys.stdin.readline()
stalls.since = 0.0
print("ended", flush=True)
"""


def test_the_time_in_which_the_process_was_paused_does_not_count() -> None:
    child = subprocess.Popen([sys.executable, "-c", _PAUSED], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        child.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        child.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        assert child.communicate(b"go on\n", timeout=60)[0] == b"ended\n"
        assert child.returncode == 0
    finally:
        child.kill()
        child.wait()


def test_what_ends_in_time_is_let_be() -> None:
    ended = threading.Event()
    stalls = Stalls(60.0, ended.set, look_every=0.001)
    stalls.watch()
    stalls.since = time.perf_counter()
    assert not ended.wait(0.02)
    stalls.close()
