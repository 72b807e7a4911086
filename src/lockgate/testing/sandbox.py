"""A sandbox that runs nothing and answers what a test told it to."""

from __future__ import annotations

from lockgate.domain.errors import Unavailable
from lockgate.domain.validation import Examination, ExamineRequest, ModelFacts, TestResult

_SOUND = ModelFacts(has_signature=True, libraries=(), inputs="input_example")


class ScriptedSandbox:
    """Every test passes until `fail` says otherwise. `requests` holds what was asked, oldest first."""

    def __init__(self, facts: ModelFacts | None = _SOUND) -> None:
        self.facts = facts
        self.requests: list[ExamineRequest] = []
        self._failures: dict[str, str] = {}
        self._measured: dict[str, dict[str, float]] = {}
        self._unavailable = ""

    def measure(self, test: str, **figures: float) -> None:
        """From now on this test measures these figures."""
        self._measured[test] = figures

    def fail(self, test: str, because: str) -> None:
        """From now on this test fails with this reason."""
        self._failures[test] = because

    def be_unavailable(self, because: str) -> None:
        """From now on no examination can be started; the empty text ends that."""
        self._unavailable = because

    def examine(self, request: ExamineRequest) -> Examination:
        """As in the port."""
        self.requests.append(request)
        if self._unavailable:
            raise Unavailable(self._unavailable, hint="Try again.")
        results = tuple(
            TestResult(
                test,
                test not in self._failures,
                self._failures.get(test, "as it should be"),
                self._measured.get(test, {}),
            )
            for test in request.tests
        )
        return Examination(results=results, facts=self.facts, seconds=0.0)
