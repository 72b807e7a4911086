"""Putting requests together: the rows of all that were read in one turn of the loop go into one prediction.

Predictions that take up to about a millisecond run on the loop's thread: handing them to another one and back would
cost more. Longer ones run in the model's threads, so that the loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lockgate.worker.engines.engine import Engine
from lockgate.worker.http.messages import Answer, Reply, Request
from lockgate.worker.invocations.answers import Predictions
from lockgate.worker.invocations.bodies import Rows, matrix_of
from lockgate.worker.invocations.costs import Costs
from lockgate.worker.invocations.stalls import Stalls
from lockgate.worker.invocations.threads import Threads
from lockgate.worker.observing.observer import Observer

LONGEST_TURN = 0.001  # seconds that the loop's thread may predict without looking at anything else
_log = logging.getLogger("lockgate.worker")


@dataclass(slots=True, eq=False)
class Asked:
    """One request whose rows were read. `fortran`: they want a matrix whose columns lie one after the other."""

    request: Request
    reply: Reply
    rows: Rows
    fortran: bool = False
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """`rows` of one prediction, `waiting` requests, `seconds` for each of them, `wait_seconds` for others to join."""

    rows: int
    waiting: int
    seconds: float
    wait_seconds: float = 0.0


class Batches:
    """Answers requests with one engine. For the loop's thread.

    `settle` finishes a matrix, `exact` answers a request that the engine raised for, `late` one whose time is over.
    `stalls` hears when the loop's thread predicts, `changed` is called when another number of requests is `waiting`.
    """

    def __init__(
        self,
        engine: Engine,
        costs: Costs,
        threads: Threads,
        observer: Observer,
        limits: Limits,
        *,
        settle: Callable[[Any], Any],
        identity: bytes,
        exact: Callable[[Request, Reply], None],
        late: Callable[[Request, Reply], None],
        stalls: Stalls,
        changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._costs = costs
        self._threads = threads
        self._observer = observer
        self._limits = limits
        self._settle = settle
        self._identity = identity
        self._exact = exact
        self._late = late
        self._stalls = stalls
        self._changed = changed
        self._fresh: list[Asked] = []
        self._fresh_rows = 0
        self._slow: deque[Asked] = deque()
        self._running = 0
        self._called = False
        self._asked_in_threads = 0

    @property
    def waiting(self) -> int:
        """How many requests wait for the model's threads or are in them."""
        return len(self._slow) + self._asked_in_threads

    def add(self, asked: Asked) -> None:
        """Answer a request together with others, soon."""
        self._fresh.append(asked)
        self._fresh_rows += len(asked.rows)
        if self._fresh_rows >= self._limits.rows:
            self._flush()
        elif not self._called:
            self._called = True
            loop = asyncio.get_running_loop()
            if self._limits.wait_seconds > 0:
                loop.call_later(self._limits.wait_seconds, self._turn)
            else:
                loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._called = False
        self._flush()

    def _flush(self) -> None:
        """Predict what is quick here and now, as much as may be done in one turn; give what is slow to the threads."""
        fresh, self._fresh, self._fresh_rows = self._fresh, [], 0
        if len(fresh) == 1 and len(fresh[0].rows) <= self._costs.most:
            self._here(fresh, len(fresh[0].rows))
            return
        until = time.perf_counter() + LONGEST_TURN
        at = 0
        while at < len(fresh):
            if len(fresh[at].rows) > self._costs.most:
                self._put_off(fresh[at])
                at += 1
                continue
            if at and time.perf_counter() > until:
                self._again(fresh[at:])
                break
            end, rows = self._together(fresh, at)
            self._here(fresh[at:end], rows)
            at = end
        if self._slow:
            self._start()

    def _together(self, fresh: list[Asked], at: int) -> tuple[int, int]:
        """Up to where requests fit in one quick prediction, and how many rows they have."""
        first = fresh[at]
        rows = len(first.rows)
        end = at + 1
        if self._engine.rowwise:
            while end < len(fresh) and self._joins(fresh[end], first, rows, self._costs.most):
                rows += len(fresh[end].rows)
                end += 1
        return end, rows

    def _joins(self, asked: Asked, first: Asked, rows: int, most: int) -> bool:
        return asked.fortran is first.fortran and rows + len(asked.rows) <= most

    def _again(self, rest: list[Asked]) -> None:
        """The rest has the next turn: other events of the loop come first."""
        self._fresh = [*rest, *self._fresh]
        self._fresh_rows += sum(len(asked.rows) for asked in rest)
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _here(self, batch: list[Asked], count: int) -> None:
        self._stalls.since = began = time.perf_counter()
        try:
            told = self._predicted(batch)
        except Exception:  # noqa: BLE001 - whatever a model raises, MLflow's own code finds the words for it
            self._apart(batch)
            return
        finally:
            self._stalls.since = 0.0
        seconds = time.perf_counter() - began
        self._costs.learn(count, seconds)
        self._give(batch, told, count, seconds)

    def _predicted(self, batch: list[Asked]) -> Predictions:
        rows = batch[0].rows if len(batch) == 1 else [row for asked in batch for row in asked.rows]
        matrix = self._settle(matrix_of(rows, self._engine.features, fortran=batch[0].fortran))
        told = Predictions.of(self._engine.predict(matrix), self._engine.outputs)
        if len(told.values) != len(rows):
            raise ValueError(f"the engine gave {len(told.values)} predictions for {len(rows)} rows")
        return told

    def _give(self, batch: list[Asked], told: Predictions, count: int, seconds: float) -> None:
        self._observer.predicted(len(batch), count, seconds)
        start = 0
        for asked in batch:
            end = start + len(asked.rows)
            try:
                asked.reply(Answer(200, told.body(start, end), identity=self._identity, rows=end - start))
            except Exception:  # noqa: BLE001 - the others of the batch wait for theirs
                _log.exception("an answer could not be given")
            start = end

    def _apart(self, batch: list[Asked]) -> None:
        """A batch that cannot be predicted is asked about one by one: the others in it are not to blame."""
        if len(batch) == 1:
            self._exact(batch[0].request, batch[0].reply)
            return
        for asked in batch:
            self._here([asked], len(asked.rows))

    # --- in the model's threads

    def _put_off(self, asked: Asked) -> None:
        asked.since = time.monotonic()
        self._slow.append(asked)

    def _start(self) -> None:
        while self._slow and self._running < self._threads.count:
            batch = self._next()
            if batch:
                self._run(batch)
        self._changed()

    def _next(self) -> list[Asked]:
        """The next requests that fit in one prediction, without those whose time is over."""
        over = time.monotonic() - self._limits.seconds
        batch: list[Asked] = []
        rows = 0
        while self._slow:
            asked = self._slow[0]
            if asked.since <= over:
                self._slow.popleft()
                self._late(asked.request, asked.reply)
                continue
            if batch and not (self._engine.rowwise and self._joins(asked, batch[0], rows, self._limits.rows)):
                break
            self._slow.popleft()
            batch.append(asked)
            rows += len(asked.rows)
        return batch

    def _run(self, batch: list[Asked]) -> None:
        count = sum(len(asked.rows) for asked in batch)
        self._running += 1
        self._asked_in_threads += len(batch)

        def work() -> tuple[Predictions, float] | Exception:
            began = time.perf_counter(), time.thread_time()
            try:
                told = self._predicted(batch)
            except Exception as error:  # noqa: BLE001 - as above
                return error
            # what this thread worked, for it may have waited for others; but what a library's own threads worked, too
            worked = time.thread_time() - began[1]
            return told, worked

        def done(came: tuple[Predictions, float] | Exception | None) -> None:
            self._running -= 1
            self._asked_in_threads -= len(batch)
            self._came(batch, count, came)
            self._start()

        left = self._limits.seconds - (time.monotonic() - batch[0].since)
        self._threads.start(work, max(left, 0.001), done)

    def _came(self, batch: list[Asked], count: int, came: tuple[Predictions, float] | Exception | None) -> None:
        if came is None:
            for asked in batch:
                self._late(asked.request, asked.reply)
        elif isinstance(came, Exception):
            _log.info("the engine raised for %s rows: %s", count, came)
            if len(batch) == 1:
                self._exact(batch[0].request, batch[0].reply)
            else:
                for asked in batch:
                    self._run([asked])
        else:
            told, seconds = came
            self._costs.learn(count, seconds)
            self._give(batch, told, count, seconds)
