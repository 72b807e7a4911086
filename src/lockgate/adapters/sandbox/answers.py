"""What the examining child has said so far, taken with suspicion: a model runs in that process and may say anything."""

from __future__ import annotations

import json
import math
from typing import Any

from lockgate.domain.validation import ExamineRequest, Library, ModelFacts, TestResult

_MOST_BYTES = 1024 * 1024
_LONGEST_TEXT = 2000
_MOST_ENTRIES = 100


class Answers:
    """Collects the child's lines. `broken` says what is wrong with them, and then nothing more is believed."""

    def __init__(self, request: ExamineRequest) -> None:
        self._request = request
        self._results: dict[str, TestResult] = {}
        self._buffer = b""
        self._bytes = 0
        self.facts: ModelFacts | None = None
        self.phase = "starting"
        self.done = False
        self.broken = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is expected."""
        return self.done or bool(self.broken)

    def feed(self, chunk: bytes) -> None:
        """Take more bytes from the pipe."""
        self._bytes += len(chunk)
        if self._bytes > _MOST_BYTES:
            self.broken = "the examination answered more than 1 MiB"
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            if self.is_over:
                return
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self.broken = f"the examination answered with something that is no result, while {self.phase}"

    def results(self, because: str, *, spare_the_finished: bool = True) -> tuple[TestResult, ...]:
        """One for each test asked for; one that has none fails with `because`.

        With `spare_the_finished` false, those that passed fail with it too.
        """
        told = []
        for name in self._request.tests:
            result = self._results.get(name)
            if result is None or (result.passed and not spare_the_finished):
                result = TestResult(name, False, because, result.measured if result else {})
            told.append(result)
        return tuple(told)

    def _take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "doing":
                self.phase = _text(event["phase"])
            case "facts":
                self.facts = _facts(event)
            case "result":
                self._keep(_result(event))
            case "done":
                self.done = True
            case _:
                raise ValueError("unknown event")

    def _keep(self, result: TestResult) -> None:
        if result.name not in self._request.tests or result.name in self._results:
            raise ValueError("a result that nobody asked for")
        self._results[result.name] = result


def _result(event: dict[str, Any]) -> TestResult:
    if not isinstance(event["passed"], bool):
        raise TypeError("passed is true or false")
    measured = {
        _text(name): float(value)
        for name, value in list(event["measured"].items())[:_MOST_ENTRIES]
        if isinstance(value, (int, float)) and math.isfinite(value)
    }
    warnings = tuple(_text(warning) for warning in event["warnings"][:_MOST_ENTRIES])
    return TestResult(_text(event["name"]), event["passed"], _text(event["because"]), measured, warnings)


def _facts(event: dict[str, Any]) -> ModelFacts:
    libraries = tuple(
        Library(_text(it["name"]), _text(it["logged"]), None if it["installed"] is None else _text(it["installed"]))
        for it in event["libraries"][:_MOST_ENTRIES]
    )
    inputs = None if event["inputs"] is None else _text(event["inputs"])
    return ModelFacts(has_signature=event["has_signature"] is True, libraries=libraries, inputs=inputs)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("expected text")
    # half a surrogate pair can be written in JSON and nowhere else
    return value[:_LONGEST_TEXT].encode(errors="replace").decode()
