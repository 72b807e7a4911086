"""The threads a model runs in: a bounded queue, a time limit, and a way round a prediction that never ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_MOST_STUCK_THREADS = 8


class QueueFull(Exception):
    """As many predictions wait as are allowed to."""


class TooSlow(Exception):
    """The prediction did not end within its time limit."""


class Predictions:
    """Runs blocking work in a few threads. The thread that loads a model is the one that first uses it.

    A prediction that overruns its limit keeps its thread (Python cannot stop it), so the others get a fresh pool.
    After eight such threads `stuck` is set and the process should be replaced.
    """

    def __init__(self, *, threads: int, queue_limit: int) -> None:
        self._threads = threads
        self._queue_limit = queue_limit
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="model")
        self._waiting = 0
        self._lost = 0
        self.stuck = asyncio.Event()

    async def run(self, work: Callable[[], _T], seconds: float | None) -> _T:
        """The result of `work`. Raises QueueFull at once, or TooSlow after `seconds` (waiting included)."""
        if self._waiting >= self._queue_limit:
            raise QueueFull
        self._waiting += 1
        future = self._pool.submit(work)
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), seconds)
        except TimeoutError:
            if future.done() and future.exception() is not None:
                raise
            if not future.cancel() and not future.done():
                self._abandon_pool()
            raise TooSlow from None
        finally:
            self._waiting -= 1

    def _abandon_pool(self) -> None:
        self._lost += 1
        if self._lost >= _MOST_STUCK_THREADS:
            self.stuck.set()
        full = self._pool
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="model")
        full.shutdown(wait=False)
