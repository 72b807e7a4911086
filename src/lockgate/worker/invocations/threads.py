"""The threads a model runs in: a time limit, and a way round a prediction that never ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_MOST_STUCK_THREADS = 8


class Threads:
    """Runs blocking work in a few threads and tells of it on the loop's thread.

    The thread that loads a model is the one that first uses it. Work that overruns its limit keeps its thread (Python
    cannot stop it), so the rest gets fresh ones. When eight threads are kept so `stuck` is set and the process should
    be replaced.
    """

    def __init__(self, threads: int) -> None:
        self.count = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="model")
        self.kept = 0  # threads, by work that overran its limit and goes on
        self.stuck = asyncio.Event()

    def here(self, work: Callable[[], _T]) -> _T:
        """Run `work` in one of the threads and wait for it. Raises what it raises. Not for the loop's thread."""
        return self._pool.submit(work).result()

    def start(self, work: Callable[[], _T], seconds: float, done: Callable[[_T | None], None]) -> None:
        """Begin `work`, on the loop's thread; `done` hears there what came of it, or None after `seconds`.

        `work` must not raise and must not give None. Work that waits for a thread spends its seconds too.
        """
        loop = asyncio.get_running_loop()
        pool = self._pool
        future = pool.submit(work)

        told = kept = False

        def late() -> None:
            nonlocal told, kept
            if future.done() and not future.cancelled():
                return  # its answer is on its way
            told = True
            if not future.cancel():
                kept = True
                self._abandon(pool)
            done(None)

        def ended(_: Future[_T]) -> None:
            loop.call_soon_threadsafe(tell)

        def tell() -> None:
            timer.cancel()
            if kept:
                self.kept -= 1  # it did end: the process was paused, say, or the model was very slow
            if not told:
                done(None if future.cancelled() else future.result())

        timer = loop.call_later(seconds, late)
        future.add_done_callback(ended)

    def close(self) -> None:
        """Take no more work; what was taken is done."""
        self._pool.shutdown(wait=False)

    def _abandon(self, pool: ThreadPoolExecutor) -> None:
        self.kept += 1
        if self.kept >= _MOST_STUCK_THREADS:
            self.stuck.set()
        if pool is self._pool:
            self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="model")
            pool.shutdown(wait=False)
