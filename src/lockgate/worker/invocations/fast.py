"""The fast way through one model: read the body, put rows together, ask the engine, write the answer."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lockgate.worker.engines.engine import Engine
from lockgate.worker.http.messages import Answer
from lockgate.worker.invocations.answers import Predictions
from lockgate.worker.invocations.batches import LONGEST_TURN
from lockgate.worker.invocations.bodies import FRAMES, Bodies, Form, Rows, matrix_of
from lockgate.worker.invocations.content import is_plain_json
from lockgate.worker.invocations.costs import Costs
from lockgate.worker.invocations.exact import Scorer
from lockgate.worker.invocations.signature import Columns, columns_of
from lockgate.worker.invocations.trial import Trial

_log = logging.getLogger("lockgate.worker")
_TRIED_AT_LOAD_SECONDS = 0.15
_SIZES = (1, 8, 64, 512)
_LONGEST_READING = 4 * LONGEST_TURN


@dataclass
class Fast:
    """What is known of a model that has an engine. `found` says of each form that was tried whether it holds."""

    engine: Engine
    columns: Columns
    bodies: Bodies
    costs: Costs
    trial: Trial
    found: dict[Form, bool]
    single: frozenset[Form]  # those of which only bodies with one row may be read

    @classmethod
    def prepare(cls, scorer: Scorer, engine: Engine, folder: Path) -> Fast | None:
        """Try the usual forms and read how long predictions take. None: no body can be read for this engine.

        What was not tried in 0.15 s is tried when a request first comes in that form.
        """
        metadata = scorer.model.metadata
        columns = columns_of(metadata, engine)
        if columns is None:
            return None
        ignored = metadata.get_params_schema() is None
        bodies = Bodies(columns, params_are_ignored=ignored, integers=engine.accepts.integers)
        samples = _samples(scorer, bodies, folder, engine.features)
        trial = Trial(scorer, engine, columns, bodies, samples)
        single = frozenset(form for form in Form if trial.only_single(form))
        made = cls(engine, columns, bodies, _read(engine, samples), trial, {}, single)
        began = time.perf_counter()
        for form in trial.forms():
            made.found[form] = trial.holds(form)
            if time.perf_counter() - began > _TRIED_AT_LOAD_SECONDS:
                break
        _log.info("read fast: %s", ", ".join(form.value for form, holds in made.found.items() if holds) or "nothing")
        return made

    def read(self, body: bytes, content_type: bytes) -> tuple[Form, Rows] | None:
        """The form and the rows of a body, None when it is for MLflow's own code."""
        read = self.bodies.read(body) if is_plain_json(content_type) else None
        if read is not None and read[0] in self.single and len(read[1]) > 1:
            return None
        return read

    def answer(self, body: bytes, content_type: bytes) -> Answer | None:
        """The whole answer to a long body, in the thread that asks; None when it is for MLflow's own code."""
        read = self.read(body, content_type)
        if read is None or not self.found.get(read[0]):
            return None
        form, rows = read
        try:
            matrix = matrix_of(rows, self.engine.features, fortran=self.fortran(form))
            told = Predictions.of(self.engine.predict(self.columns.settle(matrix)), self.engine.outputs)
        except Exception:  # noqa: BLE001 - whatever a model raises, MLflow's own code finds the words for it
            return None
        count = len(rows)
        return Answer(200, told.body(0, count), rows=count) if len(told.values) == count else None

    def fortran(self, form: Form) -> bool:
        """Whether rows of this form want a matrix whose columns lie one after the other."""
        return form in FRAMES and self.engine.accepts.arrays


def _samples(scorer: Scorer, bodies: Bodies, folder: Path, features: int) -> list[list[float]]:
    """A few rows to try: of the model's own example where there is one, and random ones about it."""
    random = np.random.default_rng(features)
    example: Any = None
    told = scorer.model.metadata.get_serving_input(str(folder))
    if told is not None and (read := bodies.read(told.encode())) is not None:
        example = np.array(read[1], np.float64)[:4]
        example = example if np.isfinite(example).all() else None
    noise = random.normal(size=(9, features)) * np.array([0.1, 1.0, 10.0])[np.arange(9) % 3][:, None]
    if example is not None:
        noise[: len(example)] = 0
        noise = example[np.arange(9) % len(example)] + noise * (np.abs(example).mean() + 1) / 10
    return [[float(value) for value in row] for row in noise]


def _read(engine: Engine, samples: list[list[float]]) -> Costs:
    readings: dict[int, float] = {}
    rows = np.array(samples, np.float64)
    for size in _SIZES:
        some = rows[np.arange(size) % len(rows)]
        best = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            try:
                engine.predict(some)
            except Exception:  # noqa: BLE001 - what raises is answered by MLflow's own code, whatever it takes
                _log.debug("the engine raised for a sample", exc_info=True)
            best = min(best, time.perf_counter() - began)
            if best > _LONGEST_READING:
                break
        readings[size] = best
        if best > _LONGEST_READING:
            break
    return Costs(LONGEST_TURN, readings)
