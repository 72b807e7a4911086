"""The proof that an engine answers as `pyfunc` does, given on rows at load time; without it an engine is not used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lockgate.worker.engines.engine import Accepts
from lockgate.worker.engines.inputs import Inputs, as_sent
from lockgate.worker.engines.trial import hard_rows, same, usual_rows

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

_log = logging.getLogger("lockgate.worker")
_TIMES = 5

Predict = Callable[[Any], Any]
Alike = Callable[[Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way of predicting that may be as right as MLflow's own, and faster."""

    how: str
    predict: Predict


@dataclass(frozen=True, slots=True)
class Case:
    """Some rows, in the order they lie in memory, and what `pyfunc` gives for them: None where it raises.

    `outputs` are the names of its columns where that is a data frame.
    """

    rows: Any
    frame: bool
    integers: bool
    expected: Any | None
    outputs: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Proof:
    """What `pyfunc` gives for rows of many kinds, asked once and compared with each candidate."""

    inputs: Inputs
    cases: tuple[Case, ...]
    rows: Any
    outputs: tuple[str, ...] | None

    @classmethod
    def of(cls, model: PyFuncModel, inputs: Inputs, example: Any | None, edges: Any | None) -> Proof:
        """Ask a loaded model. Takes some dozen predictions."""
        rows = usual_rows(inputs, example, edges)
        cases: list[Case] = []
        for frame in [form for form, wanted in ((True, inputs.frames), (False, inputs.arrays)) if wanted]:
            few = [rows, rows[:1], rows[1:2], rows[2:3], rows[3:5], rows[5:12]]
            parts = [*few, _many(rows), *hard_rows(inputs, rows)]
            cases += [_asked(model, inputs, part, frame=frame, integers=False) for part in parts]
            if not inputs.types:
                whole = rows[:5].round()
                cases += [_asked(model, inputs, part, frame=frame, integers=True) for part in (whole, whole[:1])]
        outputs = next((case.outputs for case in cases if case.expected is not None), None)
        return cls(inputs, tuple(cases), rows, outputs)

    def accepts(self, candidate: Candidate, alike: Alike = same) -> Accepts | None:
        """The forms of input for which the candidate gave the same every time, or None where there is none."""
        forms = {}
        for frame in (True, False):
            cases = [case for case in self.cases if case.frame is frame and not case.integers]
            answered = [case for case in cases if case.expected is not None]
            named = bool(answered) and all(case.outputs == self.outputs for case in answered)
            forms[frame] = named and all(_holds(candidate, case, alike) for case in cases)
        if not any(forms.values()):
            return None
        whole = [case for case in self.cases if case.integers and forms[case.frame]]
        integers = all(_holds(candidate, case, alike) for case in whole)
        return Accepts(forms[True], forms[False], integers=integers, columns=self.inputs.columns)

    def rowwise(self, predict: Predict, alike: Alike = same) -> bool:
        """Whether each row gets the same answer alone and among others."""
        import numpy as np

        try:
            together, many = predict(self.rows), predict(_many(self.rows))
            alone = np.concatenate([predict(self.rows[place : place + 1]) for place in range(len(self.rows))])
        except Exception:  # noqa: BLE001 - a model may raise anything; then its rows are not put together
            return False
        if len(together) != len(self.rows) or len(many) != _TIMES * len(self.rows):
            return False
        return alike(together, alone) and alike(many, np.concatenate([alone] * _TIMES))


def _many(rows: Any) -> Any:
    """So many rows that libraries, and engines of ours, go other ways than for a few."""
    import numpy as np

    return np.concatenate([rows] * _TIMES)


def _asked(model: PyFuncModel, inputs: Inputs, rows: Any, *, frame: bool, integers: bool) -> Case:
    import numpy as np

    try:
        told = model.predict(as_sent(model, inputs, rows, frame=frame, integers=integers))
    except Exception:  # noqa: BLE001 - what MLflow refuses is a case too: the candidate must refuse it as well
        told = None
    expected, outputs = _plain(told)
    # a data frame's columns lie one after the other in memory, and products are summed in another order there
    given = np.asfortranarray(rows) if frame else np.ascontiguousarray(rows)
    return Case(given, frame, integers, expected, outputs)


def _plain(told: Any) -> tuple[Any, tuple[str, ...] | None]:
    """An answer as an array, and the names of its columns where MLflow writes each row with names."""
    import pandas as pd

    if not isinstance(told, pd.DataFrame):
        return told, None
    # one type for all columns, else an array would change what is written
    if len(set(told.dtypes)) != 1:
        return told, None
    values = told.to_numpy()
    return values[:, 0] if values.shape[1] == 1 else values, tuple(map(str, told.columns))


def _holds(candidate: Candidate, case: Case, alike: Alike) -> bool:
    try:
        given = candidate.predict(case.rows.copy(order="K"))
    except Exception:  # noqa: BLE001 - MLflow's own way answers where an engine raises, so it may
        # an engine that raises for usual rows would only be slower than MLflow's own way
        return case.expected is None or not bool(_finite(case.rows))
    return case.expected is not None and alike(given, case.expected)


def _finite(rows: Any) -> bool:
    import numpy as np

    # a forest's float32 ends at 3.4e38
    return bool(np.all(np.isfinite(rows)) and np.all(np.abs(rows) < 1e38))
