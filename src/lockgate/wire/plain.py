"""Turning the wire's shapes into plain JSON values and back: nested dataclasses, times as ISO 8601 text in UTC.

A reader takes a newer server's unknown fields in silence, so that an old client keeps working; a missing or mistyped
field is an error that names it.
"""

from __future__ import annotations

import math
import types
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_NOT_FINITE = ("NaN", "Infinity", "-Infinity")


class WrongShape(ValueError):
    """The JSON is not what was expected. `where` is the path of the field, empty for the whole."""

    def __init__(self, where: str, wrong: str) -> None:
        super().__init__(f"{where}: {wrong}" if where else wrong)
        self.where = where

    @classmethod
    def found(cls, where: str, expected: str, found: object) -> WrongShape:
        """Something else than expected stands there."""
        return cls(where, f"expected {expected}, found {_short(found)}")


def to_json(value: Any) -> Any:
    """The plain JSON value of a shape: maps, lists, text, numbers, booleans and None.

    Numbers that JSON has no word for become the text `NaN`, `Infinity` or `-Infinity`. Raises TypeError on anything
    that is no shape.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _name_of(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(inner) for inner in value]
    raise TypeError(f"{type(value).__name__} has no place on the wire")


def from_json(shape: type[T], plain: Any, *, strict: bool = False) -> T:
    """The value of dataclass `shape` that `to_json` turned into `plain`.

    Raises WrongShape naming the field, what was expected there and what was found; with `strict` also on a field that
    the shape does not have.
    """
    wanted: Any = shape
    if strict and isinstance(plain, dict):
        _refuse_unknown([field.name for field, _ in _fields_of(wanted)], plain)
    made: T = _read(wanted, plain, "")
    return made


def _refuse_unknown(known: list[str], plain: dict[str, Any]) -> None:
    for name in plain:
        if name not in known:
            raise WrongShape(name, f"there is no such field; known are {', '.join(known)}")


def _read(wanted: Any, plain: Any, where: str) -> Any:
    origin, inner = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return plain
    if origin in (types.UnionType, Union):
        return _read_optional(inner, plain, where)
    if origin is tuple:
        listed = _must_be(list, "a list", plain, where)
        return tuple(_read(inner[0], each, f"{where}[{i}]") for i, each in enumerate(listed))
    if origin is not None and issubclass(origin, Mapping):
        found = _must_be(dict, "an object", plain, where)
        return {key: _read(inner[1], each, _under(where, key)) for key, each in found.items()}
    if is_dataclass(wanted):
        return _read_shape(wanted, _must_be(dict, "an object", plain, where), where)
    return _read_scalar(wanted, plain, where)


def _read_optional(choices: tuple[Any, ...], plain: Any, where: str) -> Any:
    if plain is None and types.NoneType in choices:
        return None
    (wanted,) = (choice for choice in choices if choice is not types.NoneType)
    return _read(wanted, plain, where)


def _read_shape(shape: Any, plain: dict[str, Any], where: str) -> Any:
    given = {}
    for field, hint in _fields_of(shape):
        if field.name in plain:
            given[field.name] = _read(hint, plain[field.name], _under(where, field.name))
        elif field.default is MISSING and field.default_factory is MISSING:
            # nothing is there, and what reads it says what should be
            _read(hint, None, _under(where, field.name))
            raise WrongShape(_under(where, field.name), "it is missing")
    return shape(**given)


def _read_scalar(wanted: Any, plain: Any, where: str) -> Any:
    if wanted is bool:
        return _must_be(bool, "true or false", plain, where)
    if wanted is str:
        return _must_be(str, "text", plain, where)
    if wanted is datetime:
        return _read_time(plain, where)
    if isinstance(plain, bool):
        raise WrongShape.found(where, "a number", plain)
    if wanted is int:
        return _must_be(int, "a whole number", plain, where)
    if wanted is float:
        if isinstance(plain, str) and plain in _NOT_FINITE:
            return float(plain)
        return float(_must_be((int, float), "a number", plain, where))
    raise TypeError(f"{where}: {wanted!r} has no place on the wire")


def _read_time(plain: Any, where: str) -> datetime:
    expected = "a time such as 2026-01-31T12:00:00+00:00"
    try:
        found = datetime.fromisoformat(_must_be(str, expected, plain, where))
    except ValueError as error:
        if isinstance(error, WrongShape):
            raise
        raise WrongShape.found(where, expected, plain) from None
    if found.tzinfo is None:
        raise WrongShape.found(where, expected, plain)
    return found


def _must_be(wanted: Any, expected: str, plain: Any, where: str) -> Any:
    if not isinstance(plain, wanted):
        raise WrongShape.found(where, expected, plain)
    return plain


@cache
def _fields_of(shape: Hashable) -> tuple[tuple[Field[Any], Any], ...]:
    wanted: Any = shape
    hints = get_type_hints(wanted)
    return tuple((field, hints[field.name]) for field in fields(wanted))


def _name_of(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _under(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _short(found: object) -> str:
    if found is None:
        return "nothing"
    told = repr(found)
    return told if len(told) <= 60 else told[:57] + "..."
