"""The rows an engine is tried on, and whether two ways of predicting give the same."""

from __future__ import annotations

from typing import Any

from lockgate.worker.engines.inputs import Inputs

_SEED = 5
_ROWS = 24
_SCALES = (0.01, 1.0, 100.0)
_HARD = (float("nan"), float("inf"), float("-inf"), 1e300, -1e39)


def usual_rows(inputs: Inputs, example: Any | None, edges: Any | None) -> Any:
    """24 rows (n, features) as a client could send them: around the model's example and at its thresholds.

    `edges` holds (feature, value) pairs at which the model's answer may turn.
    """
    import numpy as np

    random = np.random.default_rng(_SEED)
    rows = np.zeros((_ROWS, inputs.features))
    if example is not None and len(example):
        rows[:] = example[np.arange(_ROWS) % len(example)]
    scales = np.array(_SCALES)[np.arange(_ROWS) % len(_SCALES)]
    if example is not None and len(example):
        rows[len(example) :] += random.normal(size=(max(_ROWS - len(example), 0), inputs.features)) * np.std(
            rows, axis=0
        )
    else:
        rows += random.normal(size=rows.shape) * scales[:, None]
    for place, (feature, value) in enumerate(edges or ()):
        # at the threshold, and one step of the number below and above it
        near = (value, np.nextafter(value, -np.inf), np.nextafter(value, np.inf), np.float64(np.float32(value)))
        rows[place % _ROWS, int(feature)] = near[place % len(near)]
    return as_typed(inputs, rows)


def hard_rows(inputs: Inputs, rows: Any) -> list[Any]:
    """Single rows with a number that is none, infinite or huge in them."""
    import numpy as np

    hard = []
    for place, value in enumerate(_HARD):
        row = rows[place % len(rows)][None].copy()
        row[0, place % inputs.features] = value
        if not inputs.whole:
            hard.append(as_typed(inputs, row))
    hard.append(np.zeros((1, inputs.features)))
    return hard


def as_typed(inputs: Inputs, rows: Any) -> Any:
    """The values that are left of these when MLflow has made the columns' types of them."""
    import numpy as np

    typed = rows.copy()
    for place, kind in enumerate(inputs.types):
        if kind == "float32":
            with np.errstate(over="ignore"):
                typed[:, place] = typed[:, place].astype(np.float32)
        elif kind.startswith("int"):
            typed[:, place] = np.round(typed[:, place])
    return typed


def same(one: Any, other: Any) -> bool:
    """Whether two arrays have one shape and type and the same bits; which NaN it is does not count."""
    import numpy as np

    if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
        return False
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind == "f":
        alike = (one == other) & (np.signbit(one) == np.signbit(other))
        return bool(np.all(alike | (np.isnan(one) & np.isnan(other))))
    if one.dtype.kind == "O":
        return [(type(x), x) for x in one.ravel()] == [(type(x), x) for x in other.ravel()]
    return bool(np.array_equal(one, other))
