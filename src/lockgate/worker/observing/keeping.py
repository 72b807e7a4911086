"""Keeps predictions and labels: a bounded queue, and one thread that writes what is in it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import random
from typing import Any

import orjson

from lockgate.wire.predictions import FEEDBACK, PREDICTIONS, folder_of
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.observing.spool import Spool, day_of, forget, settle_what_is_left

_log = logging.getLogger("lockgate.worker")
MOST_WAITING = 20_000
MOST_BYTES = 32 * 1024 * 1024  # that wait
LARGEST = 1024 * 1024  # of one prediction, input and output together
_GATHERED_SECONDS = 0.1
_AT_ONCE = 32  # rows between two writes: a write lets the loop have the interpreter
_COMPLAINED_EVERY = 60.0
_DAY = 86400.0  # seconds, in UTC
_CLOSED_WITHIN = 5.0

Tally = Callable[[str, int], None]
"""Counts what became of so many rows: a value of `families.KEPT`."""


@dataclass(slots=True)
class _Waiting:
    """Rows on their way to the disk; `written` hears whether they got there."""

    kind: str
    time: float
    size: int
    rows: Sequence[dict[str, Any]]
    written: Callable[[bool], None] | None = None


class Keeper:
    """Keeps rows for one worker. What has no room is dropped and counted: nothing ever waits for it.

    `offer` and `labels` are for the loop's thread. `written` is called on the keeper's own.
    """

    def __init__(self, config: WorkerConfig, tally: Tally) -> None:
        self._folder = folder_of(Path(config.predictions), config.environment, config.model)
        self._share = config.log_predictions
        self._days = config.prediction_days
        self._tally = tally
        self._same = {
            "model": config.model,
            "version": config.version,
            "release": config.release,
            "engine": config.engine,
            "worker": config.worker,
        }
        self._spools = {kind: Spool(self._folder, kind) for kind in (PREDICTIONS, FEEDBACK)}
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._rows = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._complained = 0.0
        self._thread: threading.Thread | None = None
        if self._share > 0:
            self._begin()

    def loaded(self, engine: str) -> None:
        """Say what computes the predictions from now on."""
        self._same = {**self._same, "engine": engine}

    def offer(self, request: Request, answer: Answer, seconds: float) -> None:
        """Keep this prediction, if it is one of the share that is kept."""
        if random() >= self._share:  # noqa: S311 - a sample, no secret
            return
        size = len(request.body) + len(answer.body)
        row = {
            "request_id": request.id,
            "status": answer.status,
            "rows": answer.rows,
            "seconds": seconds,
            "path": request.path,
            "content_type": request.content_type,
            "input": request.body,
            "output": answer.body,
            **self._same,
        }
        if size > LARGEST or not self._put(_Waiting(PREDICTIONS, time.time(), size, (row,))):
            self._tally("prediction_dropped", 1)

    def labels(self, rows: Sequence[dict[str, Any]], size: int, written: Callable[[bool], None]) -> bool:
        """Keep these labels, `size` bytes of them. False: there is no room now, and `written` is not called."""
        taken = self._put(_Waiting(FEEDBACK, time.time(), size, rows, written))
        if not taken:
            self._tally("label_dropped", len(rows))
        return taken

    def close(self) -> None:
        """Write what waits and make Parquet files of it, if that takes no longer than 5 s. Call it off the loop.

        What it does not get to stays in the spool, and the model's next worker goes on with it.
        """
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_CLOSED_WITHIN)

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def _put(self, waiting: _Waiting) -> bool:
        with self._lock:
            full = self._rows + len(waiting.rows) > MOST_WAITING or self._bytes + waiting.size > MOST_BYTES
            if full or self._stopping.is_set():
                return False
            self._rows += len(waiting.rows)
            self._bytes += waiting.size
            self._waiting.append(waiting)
        if self._thread is None:
            self._begin()
        if not self._wake.is_set():
            self._wake.set()
        return True

    def _run(self) -> None:
        # now, while the model is being loaded: importing them holds the interpreter for longer than an answer takes
        import pyarrow.json
        import pyarrow.parquet  # noqa: F401 - the spool uses them

        self._tidy()
        while not self._stopping.is_set():
            self._wake.wait(self._until_due())
            self._stopping.wait(_GATHERED_SECONDS)  # one write for what comes close together
            self._wake.clear()
            self._write_all()
            for spool in self._spools.values():
                if spool.due is not None and spool.due <= time.monotonic():
                    self._careful(spool.settle)
                    self._tidy()
        self._write_all()
        for spool in self._spools.values():
            self._careful(spool.settle)

    def _until_due(self) -> float | None:
        due = [spool.due for spool in self._spools.values() if spool.due is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _tidy(self) -> None:
        self._careful(lambda: settle_what_is_left(self._folder))
        if self._days:
            self._careful(lambda: forget(self._folder, self._days, datetime.now(UTC)))

    def _write_all(self) -> None:
        while self._waiting:
            some = self._taken()
            day = day_of(some[0].time)
            lines = [line for waiting in some for line in _lines(waiting)]
            done = self._careful(partial(self._spools[some[0].kind].write, day, lines))
            what = "prediction" if some[0].kind == PREDICTIONS else "label"
            self._tally(f"{what}_{'kept' if done else 'dropped'}", len(lines))
            for waiting in some:
                if waiting.written is not None:
                    waiting.written(done)

    def _taken(self) -> list[_Waiting]:
        """The next few that belong to one file: of one kind and one day."""
        with self._lock:
            some = [self._waiting.popleft()]
            while self._waiting and len(some) < _AT_ONCE:
                following = self._waiting[0]
                if following.kind != some[0].kind or following.time // _DAY != some[0].time // _DAY:
                    break
                some.append(self._waiting.popleft())
            self._rows -= sum(len(waiting.rows) for waiting in some)
            self._bytes -= sum(waiting.size for waiting in some)
        return some

    def _careful(self, deed: Callable[[], None]) -> bool:
        """Whether it was done. What the disk refuses is told once a minute, and harms no answer."""
        try:
            deed()
        except OSError as error:
            if time.monotonic() - self._complained > _COMPLAINED_EVERY or not self._complained:
                self._complained = time.monotonic()
                _log.warning("predictions and labels cannot be kept in %s: %s", self._folder, error)
            return False
        return True


def _lines(waiting: _Waiting) -> list[bytes]:
    moment = int(waiting.time * 1e6)
    return [orjson.dumps({"time": moment, **_texts(row)}, option=orjson.OPT_APPEND_NEWLINE) for row in waiting.rows]


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.decode(errors="replace") if isinstance(value, bytes) else value for name, value in row.items()}
