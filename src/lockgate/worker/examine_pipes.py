"""How an examination talks with the sandbox that started it: one JSON object a line, in and out."""

from __future__ import annotations

import json
import os
import queue
import threading
from typing import Any

from lockgate.domain.validation import ModelFacts, TestResult


class Reporter:
    """Tells the sandbox what is being done and what was found, on a pipe that is neither stdout nor stderr.

    Models print, and what they print must not be taken for an answer.
    """

    def __init__(self, fd: int) -> None:
        # a program that the model starts must not hold the pipe open after us
        os.set_inheritable(fd, False)
        self._fd = fd

    def doing(self, phase: str) -> None:
        """What is about to happen, as it reads after "while"; it names the place of a crash."""
        self._say({"event": "doing", "phase": phase})

    def facts(self, facts: ModelFacts) -> None:
        """What the files say; a later word replaces an earlier one."""
        libraries = [{"name": it.name, "logged": it.logged, "installed": it.installed} for it in facts.libraries]
        self._say(
            {"event": "facts", "has_signature": facts.has_signature, "libraries": libraries, "inputs": facts.inputs}
        )

    def result(self, result: TestResult) -> None:
        """One finished test."""
        self._say(
            {
                "event": "result",
                "name": result.name,
                "passed": result.passed,
                "because": result.because,
                "measured": dict(result.measured),
                "warnings": list(result.warnings),
            }
        )

    def done(self) -> None:
        """Nothing more will be said."""
        self._say({"event": "done"})

    def _say(self, event: dict[str, Any]) -> None:
        line = memoryview(json.dumps(event).encode() + b"\n")
        while line:
            line = line[os.write(self._fd, line) :]


class Orders:
    """What the sandbox says, line by line."""

    def __init__(self) -> None:
        # the model may read standard input, and must find nothing there
        source = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, args=(source,), daemon=True, name="orders").start()

    def next(self, seconds: float) -> dict[str, Any]:
        """The next one. Raises queue.Empty after so many seconds, ValueError when it is no JSON object."""
        told = json.loads(self._lines.get(timeout=seconds))
        if not isinstance(told, dict):
            raise ValueError("an order is a JSON object")
        return told

    def _read(self, source: int) -> None:
        with os.fdopen(source, "rb") as lines:
            for line in lines:
                self._lines.put(line)
