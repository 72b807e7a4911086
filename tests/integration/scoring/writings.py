"""Requests as clients write them, and as no client should: generated from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

JSON_TYPES = ("application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8")
ODD_TYPES = (
    "Application/JSON", "application/json; charset=latin-1", "application/json;", "application/json; colour=red",
    "text/plain", "text/csv", "text/csv; charset=utf-8", "application/vnd.apache.parquet", " application/json ",
    "application/json; charset=\"utf-8\"", "json",
)  # fmt: skip
FORMS = ("split", "bare split", "records", "rows", "columns", "instances", "instance rows", "instance columns", "csv")


@dataclass(frozen=True)
class Writing:
    """One request: its body and content type, and what was done to it."""

    body: bytes
    content_type: str
    story: str


class Raw(str):
    """JSON text that stands where a value would."""


class Writer:
    """Writes requests for one model."""

    def __init__(self, names: tuple[str, ...], kinds: str, seed: int) -> None:
        self._names = names
        self._kinds = kinds
        self._random = random.Random(seed)

    def next(self) -> Writing:
        """The next request: half of them as they should be, the others with up to three things wrong."""
        dice = self._random
        form = dice.choice(FORMS)
        rows = [self._row() for _ in range(dice.choice((1, 1, 1, 2, 3, 7)))]
        names: list[Any] = list(self._names)
        story = [form]
        for _ in range(dice.choice((0, 0, 0, 0, 1, 1, 2))):
            name, spoil = dice.choice(list(_SPOILS.items()))
            story.append(name)
            spoil(dice, names, rows)
        if form == "csv":
            return Writing(_csv(names, rows), dice.choice(("text/csv", "text/csv; charset=utf-8")), ", ".join(story))
        told: Any = _document(form, names, rows)
        if dice.random() < 0.2:
            name, turn = dice.choice(list(_TURNS.items()))
            story.append(name)
            told = turn(dice, told)
        text = written(told)
        body = text.encode("utf-8", "surrogatepass")
        if dice.random() < 0.12:
            name, break_it = dice.choice(list(_BREAKS.items()))
            story.append(name)
            body = break_it(dice, body)
        kinds = ODD_TYPES if dice.random() < 0.06 else JSON_TYPES
        return Writing(body, dice.choice(kinds), ", ".join(story))

    def _row(self) -> list[Any]:
        return [self._value(kind) for kind in self._kinds]

    def _value(self, kind: str) -> Any:
        dice = self._random
        if kind == "b":
            return dice.random() < 0.5
        if kind in "wi" or dice.random() < 0.1:
            return dice.randint(-9, 9)
        return dice.choice((dice.gauss(0, 3), round(dice.gauss(0, 3), 2), dice.gauss(0, 1) * 10 ** dice.randint(-9, 9)))


def written(told: Any) -> str:
    """JSON, with `Raw` as it is."""
    if isinstance(told, Raw):
        return str(told)
    if isinstance(told, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {written(value)}" for key, value in told.items()) + "}"
    if isinstance(told, list):
        return "[" + ", ".join(written(value) for value in told) + "]"
    return json.dumps(told)


def _document(form: str, names: list[Any], rows: list[list[Any]]) -> Any:
    records = [dict(zip(map(str, names), row, strict=False)) for row in rows]
    columns = {str(name): [row[at] for row in rows if at < len(row)] for at, name in enumerate(names)}
    match form:
        case "split":
            return {"dataframe_split": {"columns": names, "data": rows}}
        case "bare split":
            return {"dataframe_split": {"data": rows}}
        case "records":
            return {"dataframe_records": records}
        case "rows":
            return {"inputs": rows}
        case "columns":
            return {"inputs": columns}
        case "instances":
            return {"instances": records}
        case "instance rows":
            return {"instances": rows}
        case _:
            return {"instances": columns}


def _csv(names: list[Any], rows: list[list[Any]]) -> bytes:
    lines = [",".join(map(str, names)), *(",".join("" if v is None else str(v) for v in row) for row in rows)]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


_ODD: tuple[Any, ...] = (
    None, True, False, "1.5", "abc", "", "2024-02-29", "2024-02-29T12:00:00Z", "héron", [], [1.0], {}, {"a": 1}, 0, -1,
    2**31, 2**53, 2**53 + 1, 2**63, -(2**63), 2**64, 10**30, 1e308, -1e-320, 5e-324, 0.1, 1.5, 1.0, -0.0,
    Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("1e999"), Raw("-0"), Raw("1E5"), Raw("1e-7"), Raw("-0.0e+3"),
    Raw("01"), Raw("1."), Raw(".5"), Raw("+1"), Raw("0x10"), Raw("1" + "0" * 400), Raw("1" + "0" * 5000),
    Raw("123456789012345678901234567890.123456789"), Raw("nan"), Raw('"\\ud800"'), Raw('"a\\u0000b"'), Raw("'1'"),
)  # fmt: skip


def _odd_value(dice: random.Random, names: list[Any], rows: list[list[Any]]) -> None:
    row = dice.choice(rows) if rows else []
    if row:
        row[dice.randrange(len(row))] = dice.choice(_ODD)


def _odd_column(dice: random.Random, names: list[Any], rows: list[list[Any]]) -> None:
    at, value = dice.randrange(max(len(names), 1)), dice.choice(_ODD)
    for row in rows:
        row[at : at + 1] = [value]


def _whole_numbers(dice: random.Random, names: list[Any], rows: list[list[Any]]) -> None:
    for row in rows:
        row[:] = [int(value) if isinstance(value, float) and abs(value) < 1e15 else value for value in row]


def _shuffled(dice: random.Random, names: list[Any], rows: list[list[Any]]) -> None:
    order = list(range(len(names)))
    dice.shuffle(order)
    names[:] = [names[at] for at in order]
    for row in rows:
        row[:] = [row[at] for at in order if at < len(row)]


def _without_column(dice: random.Random, names: list[Any], rows: list[list[Any]]) -> None:
    if names:
        at = dice.randrange(len(names))
        del names[at]
        for row in rows:
            del row[at : at + 1]


def _extra_column(dice: random.Random, names: list[Any], rows: list[list[Any]]) -> None:
    at, value = dice.randint(0, len(names)), dice.choice((0.5, 1, "text", None))
    names.insert(at, dice.choice(("extra", "é", "", "a b", 'with"quote')))
    for row in rows:
        row.insert(at, value)


def _renamed(dice: random.Random, names: list[Any], rows: list[list[Any]]) -> None:
    if names:
        names[dice.randrange(len(names))] = dice.choice(("A", " a", "a", "é", "", 0, 1, None, True, 1.5, ["a"]))


def _numbered(dice: random.Random, names: list[Any], rows: list[list[Any]]) -> None:
    names[:] = list(range(len(names)))


def _ragged(dice: random.Random, names: list[Any], rows: list[list[Any]]) -> None:
    if rows:
        row = dice.choice(rows)
        row[:] = row[:-1] if dice.random() < 0.5 else [*row, 1.0]


def _no_rows(dice: random.Random, names: list[Any], rows: list[list[Any]]) -> None:
    rows.clear()


def _nested(dice: random.Random, names: list[Any], rows: list[list[Any]]) -> None:
    for row in rows:
        row[:] = [[value] for value in row]


_SPOILS: dict[str, Callable[[random.Random, list[Any], list[list[Any]]], None]] = {
    "an odd value": _odd_value,
    "another odd value": _odd_value,
    "an odd column": _odd_column,
    "whole numbers": _whole_numbers,
    "shuffled": _shuffled,
    "a column missing": _without_column,
    "a column more": _extra_column,
    "renamed": _renamed,
    "numbered": _numbered,
    "ragged": _ragged,
    "no rows": _no_rows,
    "nested": _nested,
}


def _with(key: str, *values: Any) -> Callable[[random.Random, Any], Any]:
    return lambda dice, told: {**told, key: dice.choice(values)}


def _inside(key: str, *values: Any) -> Callable[[random.Random, Any], Any]:
    def turn(dice: random.Random, told: Any) -> Any:
        if "dataframe_split" not in told:
            return told
        return {"dataframe_split": {**told["dataframe_split"], key: dice.choice(values)}}

    return turn


def _replaced(dice: random.Random, told: Any) -> Any:
    return {key: dice.choice((None, 1, 1.5, "text", [], {}, [[]], [None], [1.0, 2.0], [[1.0], 2.0])) for key in told}


_TURNS: dict[str, Callable[[random.Random, Any], Any]] = {
    "params": _with("params", {}, None, {"times": 2}, {"times": "x"}, {"other": 1}, [1], "x", {"times": None}),
    "an unknown key": _with("note", 1, "x", None),
    "a chat": _with("messages", [], "x", 1),
    "a prompt": _with("prompt", "x"),
    "an input": _with("input", [1.0]),
    "two formats": _with("inputs", [[1.0, 2.0]], None),
    "another two": _with("instances", [[1.0, 2.0]], None),
    "a signature name": _with("signature_name", "x"),
    "an index": _inside("index", [0], [0, 1], [5], [0, 0], ["x"], [], None, [0.5], [[1, 2]], 3, [0, 1, 2], [None]),
    "columns that are none": _inside("columns", None, [], "abc", {"a": 1}, 3, [["a", "b"], ["c", "d"]]),
    "an unknown key in split": _inside("rows", 1),
    "replaced": _replaced,
    "in a list": lambda dice, told: [told],
    "nothing": lambda dice, told: dice.choice(({}, [], None, 1, "text", True)),
}


def _flip(dice: random.Random, body: bytes) -> bytes:
    at = dice.randrange(len(body)) if body else 0
    return body[:at] + bytes([dice.randrange(256)]) + body[at + 1 :]


def _cut(dice: random.Random, body: bytes) -> bytes:
    return body[: dice.randint(0, len(body))]


def _twice(dice: random.Random, body: bytes) -> bytes:
    return body[:-1] + b", " + body[1:] if body.startswith(b"{") and len(body) > 2 else body + body


_BREAKS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "a byte flipped": _flip,
    "another byte flipped": _flip,
    "cut": _cut,
    "all keys twice": _twice,
    "a mark before": lambda dice, body: b"\xef\xbb\xbf" + body,
    "space around": lambda dice, body: b" \n\t" + body + b"\r\n ",
    "more behind": lambda dice, body: body + dice.choice((b"x", b"\x00", b"{}", b",", b"\xa0")),
    "an escaped key": lambda dice, body: body.replace(b'"data', b'"\\u0064ata', 1).replace(b'"inp', b'"\\u0069np', 1),
    "in UTF-16": lambda dice, body: body.decode("utf-8", "replace").encode("utf-16"),
    "bytes that are no text": lambda dice, body: body.replace(b'"', b'"\xff', 1),
    "a comma more": lambda dice, body: body.replace(b"]", b",]", 1),
    "compact": lambda dice, body: body.replace(b", ", b",").replace(b": ", b":"),
}
