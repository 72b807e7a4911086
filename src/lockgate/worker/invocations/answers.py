"""Writing predictions the way MLflow writes them: equal once they are parsed, type by type."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import orjson

_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_PLAIN = frozenset("biufU")


def plain_predictions(predictions: Any, keys: tuple[str, ...] | None = None) -> list[Any]:
    """What an engine gave, an array of one row for each row it got, as Python's own lists and values.

    `keys` name the columns where MLflow answers with records.
    """
    told: list[Any] = predictions.tolist()
    if keys is not None:
        return [dict(zip(keys, row if isinstance(row, list) else [row], strict=True)) for row in told]
    if predictions.dtype.kind in _PLAIN:
        return told
    # MLflow's own encoder knows what becomes of a date or of bytes
    from mlflow.pyfunc.scoring_server import predictions_to_json

    text = StringIO()
    predictions_to_json(predictions, text)
    parsed: list[Any] = json.loads(text.getvalue())["predictions"]
    return parsed


def written(values: list[Any]) -> bytes:
    """`{"predictions": values}` as JSON with Python's NaN and Infinity."""
    if len(values) == 1:
        only = values[0]
        if type(only) is int:
            return b'{"predictions": [%d]}' % only
    try:
        body = orjson.dumps({"predictions": values}, option=_OPTIONS)
    except (TypeError, ValueError):  # an integer of more than 64 bits, half a character
        return json.dumps({"predictions": values}).encode()
    # orjson writes null for what is no number; MLflow, like Python, NaN
    return body if b"null" not in body else json.dumps({"predictions": values}).encode()
