"""Examines a model in processes of its own: a child that tries it, and the real worker that the child asks."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from lockgate.adapters.sandbox.answers import Answers
from lockgate.adapters.sandbox.program import Program
from lockgate.adapters.sandbox.serving import Serving
from lockgate.domain.errors import Unavailable
from lockgate.domain.validation import INTEGRATION, LOAD, Examination, ExamineRequest, TestResult
from lockgate.usecases.program_ports import Programs

_READ = 64 * 1024
_LOOK_EVERY_SECONDS = 0.05


class ProcessSandbox:
    """Keeps the promises of `Sandbox`. Nothing of the model is ever imported or unpickled in this process.

    `scratch` holds a private folder for each run while it lasts.
    """

    def __init__(self, scratch: Path, programs: Programs) -> None:
        self._scratch = scratch
        self._programs = programs

    def examine(self, request: ExamineRequest) -> Examination:
        """As in the port. Whatever happens, no process started here is left when it returns."""
        began = time.monotonic()
        with ExitStack() as stack:
            child_folder = self._private(stack)
            # first, so that the worker and the child load at the same time
            serving = None
            if LOAD in request.tests or INTEGRATION in request.tests:
                serving = Serving(self._programs, request, self._private(stack))
                stack.callback(serving.end)
            run = _Run(self._programs, request, child_folder, serving)
            stack.callback(run.end)
            results = run.watch(began + request.time_limit.total_seconds())
            return Examination(results=results, facts=run.answers.facts, seconds=round(time.monotonic() - began, 3))

    def _private(self, stack: ExitStack) -> Path:
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="examine-", dir=self._scratch)).resolve()
        except OSError as error:
            raise Unavailable(
                f"The scratch folder {self._scratch} cannot be written: {error.strerror or error}.",
                hint="Make room or give Lockgate's user the right to write there, then try again.",
            ) from error
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder


class _Run:
    """One child and what it says, until it has said everything, dies or runs out of time."""

    def __init__(self, programs: Programs, request: ExamineRequest, folder: Path, serving: Serving | None) -> None:
        self._request = request
        self._serving = serving
        self._worker_is_known = serving is None
        self.answers = Answers(request)
        self._pipe, theirs = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            self._child = Program(
                programs, "lockgate.worker.examine", (str(theirs),), folder, inherit=(theirs,), python=request.runtime
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(theirs)
        self._child.tell(_order(request))

    def end(self) -> None:
        """Kill the child and all that it started."""
        self._child.end()
        os.close(self._pipe)

    def watch(self, deadline: float) -> tuple[TestResult, ...]:
        """Wait for the results, at most until `deadline` (monotonic seconds)."""
        limit = f"{self._request.time_limit.total_seconds():g} s"
        with selectors.DefaultSelector() as selector:
            self._listen(selector)
            while not self.answers.is_over:
                left = deadline - time.monotonic()
                if left <= 0:
                    because = f"did not finish within {limit} (it was stopped while {self.answers.phase})"
                    return self.answers.results(because, spare_the_finished=False)
                for key, _ in selector.select(min(left, _LOOK_EVERY_SECONDS if not self._worker_is_known else 0.5)):
                    read: Callable[[], bool] = key.data
                    if not read():
                        selector.unregister(key.fd)
                self._tell_about_worker()
                if self._child.ended:
                    self._drain()
                    if not self.answers.is_over:
                        return self.answers.results(self._crashed())
        return self.answers.results(self.answers.broken or "the examination ended without a result for this test")

    def _listen(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._pipe, selectors.EVENT_READ, self._read_answers)
        selector.register(self._child.output, selectors.EVENT_READ, self._child.read_output)
        if self._serving is not None:
            selector.register(self._serving.program.output, selectors.EVENT_READ, self._serving.program.read_output)

    def _read_answers(self) -> bool:
        try:
            chunk = os.read(self._pipe, _READ)
        except BlockingIOError:
            return True
        self.answers.feed(chunk)
        return bool(chunk)

    def _drain(self) -> None:
        """What the child said before it died still counts. Its pipe may be held open by what it left behind."""
        while not self.answers.is_over:
            try:
                chunk = os.read(self._pipe, _READ)
            except BlockingIOError:
                break
            if not chunk:
                break
            self.answers.feed(chunk)
        self._child.read_output()

    def _tell_about_worker(self) -> None:
        if self._serving is None or self._worker_is_known:
            return
        told = self._serving.look()
        if told is not None:
            self._worker_is_known = True
            self._child.tell(json.dumps(told).encode() + b"\n")

    def _crashed(self) -> str:
        words = self._child.last_words()
        return f"the process ended with {self._child.how_it_ended()} while {self.answers.phase}" + (
            f"; it last said: {words}" if words else ""
        )


def _order(request: ExamineRequest) -> bytes:
    told = {
        "artifacts": request.artifacts,
        "tests": list(request.tests),
        "sample": request.sample,
        "require_signature": request.require_signature,
        "latency_limit_ms": request.latency_limit.total_seconds() * 1000,
        # the sandbox's own limit ends the wait
        "worker_seconds": request.time_limit.total_seconds(),
    }
    return json.dumps(told).encode() + b"\n"
