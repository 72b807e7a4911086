"""Predictions as plain JSON values: counting them, finding holes in them, and telling whether two are the same."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

# Two computations of one thing may differ in the last bits; a wrong prediction differs by more.
_RELATIVE = 1e-9
_ABSOLUTE = 1e-12


def plain(predictions: Any) -> Any:
    """What a client of the scoring protocol would read. Raises what JSON raises when there is no such form."""
    from mlflow.utils.proto_json_utils import NumpyEncoder, _get_jsonable_obj

    return json.loads(json.dumps(_get_jsonable_obj(predictions, pandas_orient="records"), cls=NumpyEncoder))


def how_many(predictions: Any) -> int | None:
    """The number of predictions in plain form, or None when they cannot be counted."""
    if isinstance(predictions, list):
        return len(predictions)
    if isinstance(predictions, dict):
        lengths = {len(column) if isinstance(column, list) else None for column in predictions.values()}
        return lengths.pop() if len(lengths) == 1 else None
    return None


def holes(predictions: Any) -> int:
    """How many values are missing, NaN or infinite."""
    if predictions is None:
        return 1
    if isinstance(predictions, float):
        return 0 if math.isfinite(predictions) else 1
    if isinstance(predictions, dict):
        return sum(holes(value) for value in predictions.values())
    if isinstance(predictions, list):
        return sum(holes(value) for value in predictions)
    return 0


def same(one: Any, other: Any) -> bool:
    """Whether two predictions in plain form agree, but for the last bits of a float."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that `share` of all do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def short(value: Any, most: int = 160) -> str:
    """A value for a person to recognise, cut off when it is long."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"
