"""Writing predictions the way MLflow writes them: equal once they are parsed, type by type."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any

import orjson

_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_WHOLE = frozenset("iu")
_PLAIN = frozenset("biufU")


@dataclass(slots=True, eq=False)
class Predictions:
    """The predictions for some rows as Python's own values, one for each row. `whole`: all of them are integers."""

    values: list[Any]
    whole: bool = False

    @classmethod
    def of(cls, given: Any, keys: tuple[str, ...] | None = None) -> Predictions:
        """What an engine gave, an array of one row for each row it got.

        `keys` name the columns where MLflow answers with records.
        """
        told: list[Any] = given.tolist()
        kind = given.dtype.kind
        if keys is not None:
            return cls([dict(zip(keys, row if isinstance(row, list) else [row], strict=True)) for row in told])
        return cls(told, kind in _WHOLE) if kind in _PLAIN else cls(_encoded(given))

    def body(self, start: int, end: int) -> bytes:
        """The answer's JSON for the rows from `start` to `end`, with Python's NaN and Infinity."""
        values = self.values[start:end]
        if self.whole:
            # to the byte what MLflow writes
            return b'{"predictions": ' + orjson.dumps(values).replace(b",", b", ") + b"}"
        try:
            body = orjson.dumps({"predictions": values}, option=_OPTIONS)
        except (TypeError, ValueError):  # an integer of more than 64 bits, half a character
            return json.dumps({"predictions": values}).encode()
        # orjson writes null for what is no number; MLflow, like Python, NaN
        return body if b"null" not in body else json.dumps({"predictions": values}).encode()


def _encoded(given: Any) -> list[Any]:
    # MLflow's own encoder knows what becomes of a date or of bytes
    from mlflow.pyfunc.scoring_server import predictions_to_json

    text = StringIO()
    predictions_to_json(given, text)
    parsed: list[Any] = json.loads(text.getvalue())["predictions"]
    return parsed
