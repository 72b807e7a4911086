"""The tests that need nothing but the loaded model: schema, inference, latency."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lockgate.domain.validation import INFERENCE, LATENCY, SCHEMA, TestResult
from lockgate.worker.examine_compare import holes, how_many, percentile, plain, same, short
from lockgate.worker.examine_inputs import Rows
from lockgate.worker.invocations.reasons import one_line

_WARM_UPS = 5
_MOST_ROUNDS = 50
_MOST_SECONDS = 5.0


@dataclass
class Subject:
    """The loaded model under test with its rows; `no_rows` says why there are none."""

    model: Any
    rows: Rows | None
    no_rows: str = ""
    require_signature: bool = False
    latency_limit_ms: float = 50.0
    _answers: list[Any] = field(default_factory=list)

    def predict(self, data: Any) -> Any:
        """One prediction with the rows' params. Raises Unanswered with the reason."""
        assert self.rows is not None
        try:
            return self.model.predict(data, params=self.rows.params)
        except BaseException as error:  # a model's code can raise anything, SystemExit too, and each is a reason
            if isinstance(error, KeyboardInterrupt):
                raise
            raise Unanswered(f"the model raised {one_line(error)}") from error

    def answer(self) -> Any:
        """The predictions for all rows in plain form, computed once. Raises Unanswered."""
        assert self.rows is not None
        if not self._answers:
            self._answers.append(in_plain_form(self.predict(self.rows.fresh())))
        return self._answers[0]


class Unanswered(Exception):
    """The model gave no usable prediction; the text says why."""


def in_plain_form(predictions: Any) -> Any:
    """As `plain`. Raises Unanswered when the predictions cannot be written as JSON."""
    try:
        return plain(predictions)
    except Exception as error:  # noqa: BLE001 - an output can be any object at all
        raise Unanswered(
            f"the predictions cannot be written as JSON ({type(predictions).__name__}: {one_line(error)})"
        ) from None


def failed(name: str, because: str, measured: Mapping[str, float] | None = None) -> TestResult:
    """A test that did not pass."""
    return TestResult(name, False, because, measured or {})


def passed(name: str, because: str, measured: Mapping[str, float], *warnings: str) -> TestResult:
    """A test that passed."""
    return TestResult(name, True, because, measured, warnings)


def schema_test(subject: Subject) -> TestResult:
    """The signature is there, the rows fit its inputs and a prediction fits its outputs."""
    inputs, outputs = subject.model.metadata.get_input_schema(), subject.model.metadata.get_output_schema()
    if inputs is None and outputs is None:
        advice = "no signature: log it with signature= or input_example="
        if subject.require_signature:
            return failed(SCHEMA, advice)
        return passed(SCHEMA, "the model has no signature, so there is nothing that could be violated", {}, advice)
    rows = subject.rows
    if rows is None:
        return failed(SCHEMA, subject.no_rows)
    measured = {"inputs": float(len(inputs.inputs)) if inputs else 0.0, "rows": float(rows.count or 1)}
    if inputs is not None and (misfit := _misfit(rows.fresh(), inputs)):
        return failed(SCHEMA, f"the input rows ({rows.source}) do not fit the signature: {misfit}", measured)
    if outputs is None:
        warning = "the signature has no outputs: log it with signature=infer_signature(inputs, predictions)"
        return passed(SCHEMA, "the input rows fit the signature", measured, warning)
    try:
        prediction = subject.predict(rows.fresh())
    except Unanswered as error:
        return failed(SCHEMA, f"the predictions could not be compared with the signature: {error}", measured)
    measured["outputs"] = float(len(outputs.inputs))
    if misfit := _output_misfit(prediction, outputs):
        return failed(SCHEMA, f"the predictions do not fit the signature: {misfit}", measured)
    return passed(SCHEMA, "the input rows and the predictions fit the signature", measured)


def inference_test(subject: Subject) -> TestResult:
    """One prediction for each row, none of them empty, and the same ones when asked again."""
    rows = subject.rows
    if rows is None:
        return failed(INFERENCE, subject.no_rows)
    try:
        answer = subject.answer()
        again = in_plain_form(subject.predict(rows.fresh()))
    except Unanswered as error:
        return failed(INFERENCE, str(error))
    found, empty = how_many(answer), holes(answer)
    measured = {"rows": float(rows.count or 1), "empty": float(empty)}
    if found is not None:
        measured["predictions"] = float(found)
    if rows.count is not None and found is not None and found != rows.count:
        return failed(INFERENCE, f"{_counted(found, 'prediction')} for {_counted(rows.count, 'row')}", measured)
    if empty:
        return failed(
            INFERENCE, f"{empty} of the predicted values are missing, NaN or infinite: {short(answer)}", measured
        )
    if not same(answer, again):
        because = (
            f"two predictions on the same rows differ: {short(answer, 80)} and then {short(again, 80)}; fix the seed"
        )
        return failed(INFERENCE, because, measured)
    if rows.count is not None and found is None:
        warning = "the predictions have no length, so they could not be compared with the number of rows"
        return passed(INFERENCE, f"{_counted(rows.count, 'row')} answered, twice the same", measured, warning)
    return passed(INFERENCE, f"{_counted(rows.count or 1, 'row')} predicted, twice the same", measured)


def latency_test(subject: Subject, clock: Callable[[], float] = time.perf_counter) -> TestResult:
    """The 95th percentile of one-row predictions in this process is within the limit."""
    rows = subject.rows
    if rows is None:
        return failed(LATENCY, subject.no_rows)
    taken: list[float] = []
    worked: list[float] = []
    try:
        began = clock()
        for round_ in range(_WARM_UPS + _MOST_ROUNDS):
            data = rows.first()
            start, processor = clock(), time.process_time()
            subject.predict(data)
            end, processor = clock(), time.process_time() - processor
            if round_ >= _WARM_UPS or end - began > _MOST_SECONDS:
                taken.append((end - start) * 1000)
                worked.append(processor * 1000)
            if end - began > _MOST_SECONDS:
                break
    except Unanswered as error:
        return failed(LATENCY, str(error))
    p50, p95 = round(percentile(taken, 0.5), 3), round(percentile(taken, 0.95), 3)
    limit, cpu = subject.latency_limit_ms, round(percentile(worked, 0.95), 3)
    measured = {"p50_ms": p50, "p95_ms": p95, "cpu_p95_ms": cpu, "limit_ms": limit, "predictions": float(len(taken))}
    if p95 > limit:
        because = (
            f"p95 of a one-row prediction is {p95:g} ms, the limit is {limit:g} ms: "
            "make the model faster, or raise validation.latency_limit in the policy"
        )
        if cpu <= limit:
            because += f" (its processor time is only {cpu:g} ms: if this machine was busy, validate again)"
        return failed(LATENCY, because, measured)
    return passed(LATENCY, f"p95 of a one-row prediction is {p95:g} ms, the limit is {limit:g} ms", measured)


def _misfit(data: Any, schema: Any) -> str:
    from mlflow.models.utils import _enforce_schema

    try:
        _enforce_schema(data, schema)
    except Exception as error:  # noqa: BLE001 - every way in which MLflow refuses is a misfit
        return short(getattr(error, "message", None) or error, 400)
    return ""


def _output_misfit(prediction: Any, schema: Any) -> str:
    """Empty when they fit: their own schema is the logged one, or MLflow can make them fit it.

    A signature inferred from the labels names its one column after them; a model's bare array of predictions is that
    column, without the name.
    """
    import numpy as np
    import pandas as pd
    from mlflow.types.utils import _infer_schema

    names = schema.input_names() if schema.has_input_names() else []
    if len(names) == 1 and isinstance(prediction, np.ndarray) and prediction.ndim == 1:
        prediction = pd.DataFrame({names[0]: prediction})
    try:
        if _infer_schema(prediction) == schema:
            return ""
    except Exception:  # noqa: BLE001, S110 - what has no schema of its own is judged by the next line
        pass
    return _misfit(prediction, schema)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
