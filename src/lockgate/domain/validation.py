"""What a validation examines, what it found, and which named tests the policy may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from lockgate.domain.identity import Who
from lockgate.domain.versions import VersionRef

SCHEMA = "schema_test"
INFERENCE = "inference_test"
LATENCY = "latency_test"
LOAD = "load_test"
INTEGRATION = "integration_test"
SUITE = (SCHEMA, INFERENCE, LATENCY, LOAD, INTEGRATION)

# `governance.required_tests` speaks of kinds of test; each kind is these tests of the suite.
KINDS: Mapping[str, tuple[str, ...]] = {
    "unit": (SCHEMA, INFERENCE),
    "integration": (INTEGRATION,),
    "performance": (LATENCY, LOAD),
}


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test of the suite: whether it passed, the reason a person can act on, and what was measured."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    name: str
    passed: bool
    because: str
    measured: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Library:
    """One flavor library: the version it was logged with, and the one installed here (None when it is missing)."""

    name: str
    logged: str
    installed: str | None

    @property
    def matches(self) -> bool:
        return self.installed == self.logged


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the model's own files say without loading it.

    `inputs` names where sample rows come from: `input_example`, `sample`, `feature_count`, or None when there are none.
    """

    has_signature: bool
    libraries: tuple[Library, ...]
    inputs: str | None


@dataclass(frozen=True, slots=True)
class ExamineRequest:
    """What the sandbox is asked to do. `artifacts` is the read-only folder of the pinned files.

    `runtime` is another Python interpreter that has the model's libraries.
    """

    ref: VersionRef
    artifacts: str
    tests: tuple[str, ...] = SUITE
    sample: str | None = None
    require_signature: bool = False
    time_limit: timedelta = timedelta(seconds=120)
    latency_limit: timedelta = timedelta(milliseconds=50)
    runtime: str | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """The whole answer of one run: one result for each test that was asked for, in that order."""

    results: tuple[TestResult, ...]
    facts: ModelFacts | None
    seconds: float

    @property
    def passed(self) -> bool:
        return bool(self.results) and all(result.passed for result in self.results)


class ValidationState(StrEnum):
    """Where a validation is. `ERROR` means Lockgate could not run it at all, which is no verdict on the model."""

    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"

    @property
    def is_over(self) -> bool:
        return self in (ValidationState.PASSED, ValidationState.FAILED, ValidationState.ERROR)


@dataclass(frozen=True, slots=True)
class Validation:
    """One run of the suite on one version, with the artifact digest it ran on."""

    id: str
    ref: VersionRef
    state: ValidationState
    asked_by: Who
    asked_at: datetime
    trigger: str  # "registration" | "promotion" | "asked"
    digest: str | None = None
    examination: Examination | None = None
    because: str = ""
    finished_at: datetime | None = None
