"""The request bodies of MLflow's scoring protocol that can carry a model's rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lockgate.worker.examine_compare import same
from lockgate.worker.examine_inputs import Rows
from lockgate.worker.invocations.exact import Scorer

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs", "csv")
_JSON = "application/json"


@dataclass(frozen=True)
class Body:
    """One request: the format's name as people know it, its bytes and content type."""

    name: str
    content: bytes
    content_type: str = _JSON


@dataclass(frozen=True)
class Formats:
    """The bodies that carry the rows, and the formats that cannot."""

    carried: tuple[Body, ...]
    left_out: tuple[str, ...]


def formats_for(rows: Rows, scorer: Scorer, expected: Any) -> Formats:
    """Which formats carry the rows: those with which MLflow itself, in this process, gives the expected predictions.

    The signature's kinds and the flavor decide that in too many ways to guess (a tensor has no data frame, a pipeline
    that picks columns by name has no plain list), so MLflow's own scoring code is asked.
    """
    carried: list[Body] = []
    left_out: list[str] = []
    original = _original(rows)
    if original is not None and original.name not in FORMATS and _gives(original, scorer, expected):
        carried.append(original)
    for name in FORMATS:
        candidates = [original] if original is not None and original.name == name else []
        candidates += [Body(name, content, "text/csv" if name == "csv" else _JSON) for content in _written(name, rows)]
        fitting = next((body for body in candidates if _gives(body, scorer, expected)), None)
        if fitting is None:
            left_out.append(name)
        else:
            carried.append(fitting)
    return Formats(tuple(carried), tuple(left_out))


def predictions_in(answer: bytes) -> Any:
    """The predictions in an answer's body, in plain form. Raises ValueError when it is no JSON."""
    told = json.loads(answer)
    return told["predictions"] if isinstance(told, dict) and "predictions" in told else told


def _original(rows: Rows) -> Body | None:
    """The body in which the rows came; a chat request has no name among the formats and is carried as it is."""
    if rows.body is None:
        return None
    told = json.loads(rows.body)
    name = next((name for name in FORMATS if isinstance(told, dict) and name in told), "request of the input example")
    return Body(name, rows.body.encode())


def _gives(body: Body, scorer: Scorer, expected: Any) -> bool:
    answer = scorer.score(body.content, body.content_type)
    if answer.status != 200:
        return False
    try:
        return same(predictions_in(answer.body), expected)
    except ValueError:
        return False


def _written(name: str, rows: Rows) -> Iterator[bytes]:
    """The ways to write the rows in a format, the usual one first."""
    import numpy as np
    import pandas as pd

    table = rows.data
    if isinstance(table, np.ndarray) and table.ndim == 2:
        table = pd.DataFrame(table)
    try:
        if isinstance(table, pd.DataFrame):
            values = _of_table(name, table, rows)
        elif isinstance(table, dict) and rows.count:
            values = _of_columns(name, table)
        elif name in ("inputs", "instances") and isinstance(table, (np.ndarray, list)):
            values = [table]
        else:
            values = []
        for value in values:
            if isinstance(value, str):
                yield value.encode()
            else:
                params = {"params": rows.params} if rows.params else {}
                yield json.dumps({name: value, **params}, cls=_encoder()).encode()
    except (TypeError, ValueError):
        return  # what JSON has no word for is carried by no format


def _of_table(name: str, table: Any, rows: Rows) -> list[Any]:
    match name:
        case "dataframe_split":
            split = table.to_dict(orient="split")
            return [{"columns": split["columns"], "data": split["data"]}]
        case "dataframe_records":
            return [table.to_dict(orient="records")]
        case "instances":
            return [table.to_numpy().tolist(), table.to_dict(orient="records")]
        case "inputs":
            return [table.to_dict(orient="list"), table.to_numpy().tolist(), table.to_dict(orient="records")]
        case _:
            # a CSV request has no place for params
            return [] if rows.params else [table.to_csv(index=False)]


def _of_columns(name: str, columns: dict[str, Any]) -> list[Any]:
    match name:
        case "inputs":
            return [{key: value.tolist() for key, value in columns.items()}]
        case "instances":
            lists = {key: value.tolist() for key, value in columns.items()}
            return [[dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]]
        case _:
            return []


def _encoder() -> type[json.JSONEncoder]:
    from mlflow.utils.proto_json_utils import NumpyEncoder

    encoder: type[json.JSONEncoder] = NumpyEncoder
    return encoder
