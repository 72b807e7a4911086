"""`python -m lockgate.worker.examine FD`: tries one model and reports each test on the pipe FD."""

from __future__ import annotations

import os
import queue
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lockgate.domain.validation import INFERENCE, INTEGRATION, LATENCY, LOAD, SCHEMA, ModelFacts, TestResult
from lockgate.worker.examine_facts import Unexaminable, facts_of, missing
from lockgate.worker.examine_pipes import Orders, Reporter

_LIVE = (LOAD, INTEGRATION)


@dataclass(frozen=True)
class _Request:
    """What is asked for; the live tests also need the worker, whose address comes as the second order."""

    artifacts: Path
    tests: tuple[str, ...]
    sample: str | None
    require_signature: bool
    latency_limit_ms: float
    worker_seconds: float

    @classmethod
    def of(cls, told: dict[str, Any]) -> _Request:
        return cls(
            Path(told["artifacts"]), tuple(told["tests"]), told["sample"], told["require_signature"],
            told["latency_limit_ms"], told["worker_seconds"],
        )  # fmt: skip


def main() -> int:
    """Run the whole examination. Exit code 2: this was not started by the sandbox."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        report = Reporter(int(sys.argv[1]))
        orders = Orders()
        request = _Request.of(orders.next(30.0))
    except (IndexError, KeyError, ValueError, OSError, queue.Empty) as error:
        sys.stderr.write(f"This program is started by Lockgate's sandbox, which tells it what to try. {error}\n")
        return 2
    _Examination(request, report, orders).run()
    report.done()
    sys.stdout.flush()
    sys.stderr.flush()
    # a thread that the model left behind would hold a normal exit for ever
    os._exit(0)


class _Examination:
    def __init__(self, request: _Request, report: Reporter, orders: Orders) -> None:
        self._request = request
        self._report = report
        self._orders = orders
        self._worker: dict[str, Any] | None = None

    def run(self) -> None:
        """Report facts and every test, or fail all of them with one reason."""
        self._report.doing("reading the model's files")
        try:
            facts = facts_of(self._request.artifacts, self._request.sample)
        except Unexaminable as error:
            self._fail_all(str(error))
            return
        self._report.facts(facts)
        if absent := missing(facts):
            self._fail_all(absent)
            return
        model = self._load()
        if model is not None:
            self._try(model, facts)

    def _load(self) -> Any:
        from lockgate.worker.invocations.reasons import why_it_did_not_load

        self._report.doing("loading the model")
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        # compiled files among the pinned ones would change their digest
        sys.dont_write_bytecode = True
        try:
            import mlflow.pyfunc

            return mlflow.pyfunc.load_model(str(self._request.artifacts))
        except BaseException as error:  # noqa: BLE001 - a model's code can raise anything, SystemExit too, and each is a reason
            self._fail_all(f"the model does not load: {why_it_did_not_load(error, self._request.artifacts)}")
            return None

    def _try(self, model: Any, facts: ModelFacts) -> None:
        from lockgate.worker.examine_inputs import NoRows, rows_for
        from lockgate.worker.examine_suite import Subject, inference_test, latency_test, schema_test

        self._report.doing("looking for input rows")
        request = self._request
        subject = Subject(
            model, None, require_signature=request.require_signature, latency_limit_ms=request.latency_limit_ms
        )
        try:
            subject.rows = rows_for(model, request.artifacts, request.sample)
            self._report.facts(replace(facts, inputs=subject.rows.source))
        except NoRows as error:
            subject.no_rows = str(error)
            self._report.facts(replace(facts, inputs=None))
        tests: dict[str, Callable[[], TestResult]] = {
            SCHEMA: lambda: schema_test(subject),
            INFERENCE: lambda: inference_test(subject),
            LATENCY: lambda: latency_test(subject),
        }
        for name in (SCHEMA, INFERENCE):
            self._run(name, tests[name])
        if subject.rows is not None and any(name in request.tests for name in _LIVE):
            # before the clock is looked at: a worker that is still starting would take the processor from the model
            self._await_worker()
        self._run(LATENCY, tests[LATENCY])
        self._try_live(subject)

    def _try_live(self, subject: Any) -> None:
        wanted = [name for name in _LIVE if name in self._request.tests]
        if not wanted:
            return
        from lockgate.worker.examine_formats import formats_for
        from lockgate.worker.examine_live import integration_test, load_test
        from lockgate.worker.examine_suite import Unanswered
        from lockgate.worker.invocations.exact import Scorer

        if subject.rows is None:
            self._fail(wanted, subject.no_rows)
            return
        worker = self._worker or {"because": "it did not answer in time"}
        if "port" not in worker:
            self._fail(wanted, f"the worker that would serve this model did not start: {worker['because']}")
            return
        self._report.doing("comparing the input formats")
        try:
            expected = subject.answer()
        except Unanswered as error:
            self._fail(wanted, str(error))
            return
        formats = formats_for(subject.rows, Scorer(subject.model), expected)
        if not formats.carried:
            self._fail(wanted, "no input format of MLflow's scoring protocol can carry this model's input rows")
            return
        self._run(LOAD, lambda: load_test(worker["port"], formats.carried[0], expected))
        self._run(INTEGRATION, lambda: integration_test(worker["port"], formats, expected))

    def _await_worker(self) -> None:
        self._report.doing("waiting for the worker")
        try:
            self._worker = self._orders.next(self._request.worker_seconds)
        except (queue.Empty, ValueError):
            self._worker = None

    def _run(self, name: str, test: Callable[[], TestResult]) -> None:
        if name in self._request.tests:
            self._report.doing(f"running {name}")
            self._report.result(test())

    def _fail_all(self, because: str) -> None:
        self._fail(self._request.tests, because)

    def _fail(self, names: Any, because: str) -> None:
        for name in names:
            self._report.result(TestResult(name, False, because))


if __name__ == "__main__":
    sys.exit(main())
