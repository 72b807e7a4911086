"""How fast each engine of a version answers, and how like MLflow's own way."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from lockgate.domain.engines import Figures, Parity
from lockgate.domain.policy import EngineKind
from lockgate.worker.engines import choosing, converting
from lockgate.worker.engines.converted import NotUsable, asking, differences, largest
from lockgate.worker.engines.inputs import Inputs
from lockgate.worker.engines.parity import Trials, rows_for
from lockgate.worker.engines.trial import same

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

Step = Callable[[Any], Any]
MANY = 100
_SECONDS = 0.25  # that one kind of call is timed for
_LEAST = 5
_AT_ONCE = 2000  # rows of one comparison


@dataclass(frozen=True, slots=True)
class Subject:
    """A loaded version and what it is measured with. `reference` is MLflow's own way for a matrix of rows."""

    model: PyFuncModel
    folder: Path
    inputs: Inputs
    example: Any | None
    reference: Step


def measure(model: PyFuncModel, folder: Path, into: Path, doing: Callable[[str], None]) -> tuple[list[Figures], str]:
    """Figures of every engine, and the digest of the converted file if there is one that passed.

    That file is put into `into`, named by the digest. `doing` is told what is about to happen, as it reads after
    "while".
    """
    found = choosing.inputs_and_example(model, folder)
    if found is None:
        because = "only MLflow's own way can give this model its input"
        return [Figures(each, False, because) for each in (EngineKind.NATIVE, EngineKind.ONNX)], ""
    subject = Subject(model, folder, *found, _as_mlflow(model, found[0]))
    engine = choosing.native(model, folder)
    quick = engine.predict if engine is not None else subject.reference
    doing("looking for the rows at which answers turn")
    trials = rows_for(model, subject.inputs, subject.example, quick)
    doing("asking MLflow's own way")
    rows = trials.rows
    expected = _in_parts(subject.reference, rows)
    told = [_timed(Figures(EngineKind.PYFUNC, True, how="MLflow's own way"), subject.reference, rows)]
    doing("measuring the native engine")
    if engine is None:
        told.append(Figures(EngineKind.NATIVE, False, "no way of the flavor's own equals MLflow's answers"))
    else:
        parity = _parity(_in_parts(engine.predict, rows), expected, trials, exact=True)
        figures = Figures(EngineKind.NATIVE, True, how=engine.how, parity=parity)
        told.append(_timed(figures, engine.predict, rows))
    doing("converting to ONNX")
    figures, digest = _converted(subject, trials, expected, into)
    return [*told, figures], digest


def _converted(subject: Subject, trials: Trials, expected: Any, into: Path) -> tuple[Figures, str]:
    try:
        written = converting.convert(subject.model, subject.inputs.features)
        digest = f"sha256:{hashlib.sha256(written).hexdigest()}"
        file = into / digest.replace(":", "-")
        file.write_bytes(written)
        ask = asking(file, subject.model, expected[:1])
        parity = _parity(_in_parts(ask, trials.rows), expected, trials, exact=False)
    except (converting.NotConverted, NotUsable) as error:
        return Figures(EngineKind.ONNX, False, str(error)), ""
    except Exception as error:  # noqa: BLE001 - ONNX Runtime refuses rows in many ways, and each is an answer
        return Figures(EngineKind.ONNX, False, f"the converted model cannot predict: {type(error).__name__}"), ""
    figures = _timed(Figures(EngineKind.ONNX, True, how="ONNX Runtime", parity=parity), ask, trials.rows)
    if not parity.passed:
        file.unlink()
        return figures, ""
    return figures, digest


def _as_mlflow(model: PyFuncModel, inputs: Inputs) -> Step:
    """`pyfunc` asked for a matrix of rows, in the form in which MLflow's scoring code would hand them over."""
    import numpy as np
    import pandas as pd

    names = list(inputs.columns or (f"column {place}" for place in range(inputs.features)))
    types = dict(zip(names, inputs.types, strict=True)) if inputs.types else {}

    def ask(rows: Any) -> Any:
        if not inputs.frames:
            return model.predict(rows.astype(inputs.types[0]) if inputs.types else rows)
        return np.asarray(model.predict(pd.DataFrame(rows, columns=names).astype(types)))

    return ask


def _in_parts(ask: Step, rows: Any) -> Any:
    import numpy as np

    return np.concatenate([ask(rows[start : start + _AT_ONCE]) for start in range(0, len(rows), _AT_ONCE)])


def _parity(given: Any, expected: Any, trials: Trials, *, exact: bool) -> Parity:
    """With `exact` every bit counts, on every row; else labels and numbers that are near, but for the fine rows."""
    import numpy as np

    rows = len(expected)
    if given.shape != expected.shape or given.dtype != expected.dtype:
        return Parity(rows, trials.turning, rows, 0, 0.0, False)
    differ = differences(given, expected)
    if exact:
        equal = same(given, expected)
        return Parity(
            rows, trials.turning, 0 if equal else max(int(differ.sum()), 1), 0, largest(given, expected), equal
        )
    coarse = int(np.count_nonzero(differ & ~trials.fine))
    fine = int(np.count_nonzero(differ & trials.fine))
    kept = ~trials.fine
    return Parity(rows, trials.turning, coarse, fine, largest(given[kept], expected[kept]), coarse == 0)


def _timed(figures: Figures, ask: Step, rows: Any) -> Figures:
    """With the time of one row, and of a hundred at once, each time other rows."""
    single = _seconds(ask, rows, 1)
    many = _seconds(ask, rows, MANY)
    return replace(
        figures,
        one_row_us=round(median(single) * 1e6, 1),
        one_row_p95_us=round(sorted(single)[int(len(single) * 0.95)] * 1e6, 1),
        hundred_rows_us=round(median(many) * 1e6, 1),
        rows_per_second=round(MANY / median(many)),
    )


def _seconds(ask: Step, rows: Any, count: int) -> list[float]:
    ask(rows[:count])
    told: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(told) < _LEAST or time.perf_counter() < end:
        start = len(told) * count % (len(rows) - count)
        part = rows[start : start + count]
        began = time.perf_counter()
        ask(part)
        told.append(time.perf_counter() - began)
    return told
