"""Counts what one worker does, for all workers of its group together; has it logged and traced."""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path

from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import Answer, App, Request
from lockgate.worker.observing import families
from lockgate.worker.observing.counts import Counts
from lockgate.worker.observing.exposition import exposed
from lockgate.worker.observing.families import OTHER, Family
from lockgate.worker.observing.feedback import Feedback
from lockgate.worker.observing.keeping import Keeper
from lockgate.worker.observing.traces import Traces

_SAMPLED_EVERY = 0.5
_AT = families.offsets()


class Watch:
    """The worker's `Observer`.

    `answered`, `waiting`, `passed` and `text` are called on the loop's thread, `predicted` and `tally` on any. `busy`
    tells how many connections have a request under way. A group's folder is `<environment>/<endpoint>/<release>`
    below the folder of all groups of a machine; a worker without one counts for itself. `feedback` takes labels once
    `start` was called, where there is a folder for them.
    """

    def __init__(self, config: WorkerConfig, *, busy: Callable[[], int] = lambda: 0) -> None:
        self.busy = busy
        self._folder = Path(config.group or config.folder)
        self._shares = bool(config.group)
        self._labels = {
            "environment": config.environment,
            "model": config.model,
            "version": str(config.version),
            "release": config.release,
        }
        self._counts = Counts(self._folder, config.worker, self._labels)
        self._cells = self._counts.cells
        self._lock = threading.Lock()
        self._codes = _places(families.REQUESTS)
        self._ways = _places(families.PASSED)
        self._outcomes = _places(families.KEPT)
        self._timer: asyncio.TimerHandle | None = None
        self._keeper = Keeper(config, self.tally) if config.predictions else None
        self._logs = self._keeper is not None and config.log_predictions > 0
        self._traces = Traces(config, self.tally) if config.traces else None
        self.feedback: App | None = None

    def loaded(self, engine: str) -> None:
        """Say what computes the predictions, once it is known."""
        self._labels["engine"] = engine
        self._counts.label(self._labels)
        if self._keeper is not None:
            self._keeper.loaded(engine)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take feedback, where it is kept, and tell the other workers twice a second what goes on here."""
        if self._keeper is not None:
            self.feedback = Feedback(self._keeper, loop)
        self._keep_fresh(loop)

    def close(self) -> None:
        """Write and send what waits, for some seconds at most: call it off the loop, when requests are over."""
        if self._timer is not None:
            self._timer.cancel()
        for part in (self._keeper, self._traces):
            if part is not None:
                part.close()

    def answered(self, request: Request, answer: Answer, seconds: float, *, invocation: bool) -> None:
        """Count one answer; log and trace it where that is wanted."""
        cells = self._cells
        cells[self._codes.get(answer.status, _OTHER_CODE)] += 1.0
        if invocation:
            cells[_SECONDS + bisect_left(_SECONDS_BOUNDS, seconds)] += 1.0
            cells[_SECONDS_SUM] += seconds
            cells[_ROWS] += answer.rows
            if self._logs and self._keeper is not None:
                self._keeper.offer(request, answer, seconds)
        if self._traces is not None:
            self._traces.offer(request, answer, seconds, invocation=invocation)

    def predicted(self, requests: int, rows: int, seconds: float) -> None:
        """Count one call of the model."""
        cells = self._cells
        # predictions end in several threads, and adding to a cell is a read and a write
        with self._lock:
            cells[_PREDICT + bisect_left(_SECONDS_BOUNDS, seconds)] += 1.0
            cells[_PREDICT_SUM] += seconds
            cells[_BATCH + bisect_left(_BATCH_BOUNDS, requests)] += 1.0
            cells[_BATCH_SUM] += requests
            cells[_BATCH_ROWS + bisect_left(_BATCH_ROWS_BOUNDS, rows)] += 1.0
            cells[_BATCH_ROWS_SUM] += rows

    def waiting(self, requests: int) -> None:
        """So many requests wait for the model now."""
        self._cells[_WAITING] = requests

    def passed(self, how: str) -> None:
        """Count a request or connection that went elsewhere."""
        if how == "forwarded":
            self._cells[_FORWARDED] += 1.0
        self._cells[self._ways.get(how, self._ways[OTHER])] += 1.0

    def tally(self, outcome: str, number: int = 1) -> None:
        """Count what became of predictions, labels and spans that were to be kept: a value of `families.KEPT`."""
        with self._lock:
            self._cells[self._outcomes[outcome]] += number

    def text(self, *, alone: bool = False) -> bytes:
        """What all workers of the environment on this machine counted, or of this endpoint `alone`.

        The latter is for where one endpoint's callers may not know of the others.
        """
        self._sample()
        return exposed(self._groups(alone))

    def _groups(self, alone: bool) -> Iterator[Path]:
        if not self._shares:
            yield self._folder
            return
        endpoint = self._folder.parent
        endpoints = [endpoint] if alone else sorted(_folders(endpoint.parent))
        for each in endpoints:
            yield from sorted(_folders(each))

    def _keep_fresh(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sample()
        self._timer = loop.call_later(_SAMPLED_EVERY, self._keep_fresh, loop)

    def _sample(self) -> None:
        self._cells[_IN_FLIGHT] = self.busy()


def _folders(folder: Path) -> Iterator[Path]:
    try:
        yield from (each for each in folder.iterdir() if each.is_dir())
    except OSError:  # removed in this moment
        return


def _places(family: Family) -> dict[int | str, int]:
    """Where the number of each value of the family's label lies; a status is looked up by its number."""
    return {int(value) if value.isdigit() else value: _AT[family.name] + n for n, value in enumerate(family.values)}


def _sum_of(family: Family) -> int:
    return _AT[family.name] + family.size - 1


_OTHER_CODE = _places(families.REQUESTS)[OTHER]
_SECONDS, _SECONDS_SUM = _AT[families.INVOCATION_SECONDS.name], _sum_of(families.INVOCATION_SECONDS)
_SECONDS_BOUNDS = families.INVOCATION_SECONDS.bounds
_PREDICT, _PREDICT_SUM = _AT[families.PREDICT_SECONDS.name], _sum_of(families.PREDICT_SECONDS)
_BATCH, _BATCH_SUM = _AT[families.BATCH_REQUESTS.name], _sum_of(families.BATCH_REQUESTS)
_BATCH_BOUNDS = families.BATCH_REQUESTS.bounds
_BATCH_ROWS, _BATCH_ROWS_SUM = _AT[families.BATCH_ROWS.name], _sum_of(families.BATCH_ROWS)
_BATCH_ROWS_BOUNDS = families.BATCH_ROWS.bounds
_IN_FLIGHT = _AT[families.IN_FLIGHT.name]
_WAITING = _AT[families.WAITING.name]
_FORWARDED = _AT[families.FORWARDED.name]
_ROWS = _AT[families.ROWS.name]
