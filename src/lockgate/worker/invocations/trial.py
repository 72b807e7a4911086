"""Which forms of a body may be read fast: those in which MLflow's own code was seen to give the same answers.

The model's flavor and its signature decide in too many ways what a form becomes (a data frame, an array, an error, with
columns by name or by place) to be guessed. So each form is tried on rows, and left to MLflow where an answer differs.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lockgate.domain.policy import EngineKind
from lockgate.worker.engines.converted import TOLERANCE
from lockgate.worker.engines.engine import Engine
from lockgate.worker.invocations.answers import Predictions
from lockgate.worker.invocations.bodies import FRAMES, Bodies, Form, matrix_of
from lockgate.worker.invocations.exact import Scorer
from lockgate.worker.invocations.signature import Columns

_MANY = 9


@dataclass(frozen=True)
class Trial:
    """Tries forms of one model. `samples` are a few rows of floats, columns in the model's order."""

    scorer: Scorer
    engine: Engine
    columns: Columns
    bodies: Bodies
    samples: list[list[float]]

    def forms(self) -> list[Form]:
        """The forms that may be worth trying, the usual ones first."""
        accepts = self.engine.accepts
        named = self.columns.signed and self.columns.names is not None
        forms: list[Form] = []
        if accepts.arrays and not named:
            forms += [Form.INPUT_ROWS, Form.INSTANCE_ROWS]
        if accepts.frames or self.columns.signed:
            forms += [Form.SPLIT]
            forms += [] if self.columns.signed and not named else [Form.RECORDS]
            forms += [] if named else [Form.BARE_SPLIT]
        if named:
            forms += [Form.INPUT_RECORDS, Form.INPUT_COLUMNS, Form.INSTANCE_RECORDS, Form.INSTANCE_COLUMNS]
        return forms

    def holds(self, form: Form) -> bool:
        """Whether the engine gave MLflow's answers to bodies of this form."""
        most = 1 if self.only_single(form) else _MANY
        with _quietly():
            return all(self._same(form, json.dumps(self._body(form, rows)).encode()) for rows in self._sets(most))

    def only_single(self, form: Form) -> bool:
        """Whether only bodies of one row are alike: several lie in memory as the engine was not tried with.

        A signature of tensors makes an array of a data frame, whose columns lie one after the other.
        """
        return form in FRAMES and self.columns.signed and not self.engine.accepts.frames

    def _same(self, form: Form, body: bytes) -> bool:
        wanted = self.scorer.predictions(body)
        read = self.bodies.read(body)
        if wanted is None or read is None or read[0] is not form:
            return False
        engine = self.engine
        try:
            matrix = matrix_of(read[1], engine.features, fortran=form in FRAMES and engine.accepts.arrays)
            told = Predictions.of(engine.predict(self.columns.settle(matrix)), engine.outputs)
            answer = json.loads(told.body(0, len(told.values)))["predictions"]
        except Exception:  # noqa: BLE001 - an engine that raises where MLflow answers is not used for this form
            return False
        # a converted model's numbers are near the model's own, and how near was measured before it was chosen
        return alike(answer, wanted, TOLERANCE if engine.name == EngineKind.ONNX else 0.0)

    def _sets(self, most: int) -> Iterator[list[list[float]]]:
        """Rows to try: with whole numbers in one column (a client's counts) and, where the engine may, in all."""
        fitting = self.columns.fitting
        some = [fitting(row) for row in self.samples[:most]]
        whole = [fitting([round(min(max(value, -1e6), 1e6)) for value in row]) for row in self.samples[:most]]
        if len(whole[0]) > 1 or self.columns.signed or self.engine.accepts.integers:
            yield [[counts[0], *row[1:]] for row, counts in zip(some, whole, strict=True)]
        else:
            yield some
        # with a signature they are the same numbers by the time the model gets them
        if self.engine.accepts.integers and not self.columns.signed:
            yield whole

    def _body(self, form: Form, rows: list[list[float]]) -> dict[str, Any]:
        names = list(self.columns.names or (f"column {at}" for at in range(len(rows[0]))))
        records = [dict(zip(names, row, strict=True)) for row in rows]
        by_column = {name: [row[at] for row in rows] for at, name in enumerate(names)}
        match form:
            case Form.SPLIT:
                return {"dataframe_split": {"columns": names, "data": rows}}
            case Form.BARE_SPLIT:
                return {"dataframe_split": {"data": rows}}
            case Form.RECORDS:
                return {"dataframe_records": records}
            case Form.INPUT_ROWS:
                return {"inputs": rows}
            case Form.INPUT_RECORDS:
                return {"inputs": records}
            case Form.INPUT_COLUMNS:
                return {"inputs": by_column}
            case Form.INSTANCE_ROWS:
                return {"instances": rows}
            case Form.INSTANCE_RECORDS:
                return {"instances": records}
            case Form.INSTANCE_COLUMNS:
                return {"instances": by_column}


def alike(one: Any, other: Any, tolerance: float = 0.0) -> bool:
    """Whether two parsed answers are the same, type by type; what is no number is equal to itself.

    Numbers with a fraction may differ by the tolerance, a share of the other one, or of 1 where that is smaller.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(alike(*pair, tolerance) for pair in zip(one, other, strict=True))
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[key], other[key], tolerance) for key in one)
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, float) and math.isfinite(other):
        return bool(abs(one - other) <= tolerance * max(abs(other), 1.0))
    return bool(one == other)


@contextmanager
def _quietly() -> Iterator[None]:
    """MLflow and the model warn of each form that does not suit the model, and here that is the question."""
    log = logging.getLogger("mlflow")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
