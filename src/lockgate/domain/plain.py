"""One way to write a value of the domain as plain maps, lists and texts, and to read exactly that value back.

What is written follows the types of the fields, so that a field added later is written and read without a word here.
A field that has its default is left out: a value written before the field was there is the same text today.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput

T = TypeVar("T")
_Write = Callable[[Any], Any]
_Read = Callable[[Any], Any]
_MICROSECOND = timedelta(microseconds=1)
_HINT = "It was written by a later release, or changed after it was written."


def as_plain(value: object) -> dict[str, Plain]:
    """A dataclass as a map without floats: they are written as text, moments in UTC to the microsecond."""
    return cast("dict[str, Plain]", _form(cast("Any", type(value)))[0](value))


def from_plain(kind: type[T], plain: object) -> T:
    """The value that `as_plain` wrote. Raises BadInput for what it would never write, and for fields it has not."""
    try:
        return cast("T", _form(cast("Any", kind))[1](plain))
    except (TypeError, ValueError, KeyError) as error:
        raise BadInput(f"That is no {kind.__name__}: {error}.", hint=_HINT) from None


@cache
def _form(kind: Any) -> tuple[_Write, _Read]:
    """How values of that type are written and read."""
    if kind in _LEAVES:
        return _LEAVES[kind]
    if get_origin(kind) in (Union, UnionType):
        return _optional(kind)
    if get_origin(kind) is tuple:
        write, read = _form(get_args(kind)[0])
        return lambda value: [write(each) for each in value], lambda plain: tuple(read(each) for each in _list(plain))
    if get_origin(kind) is frozenset:
        write, read = _form(get_args(kind)[0])
        return lambda value: sorted(write(each) for each in value), lambda plain: frozenset(map(read, _list(plain)))
    if get_origin(kind) is Mapping:
        write, read = _form(get_args(kind)[1])
        return (
            lambda value: {str(key): write(inner) for key, inner in value.items()},
            lambda plain: {_text(key): read(inner) for key, inner in _map(plain).items()},
        )
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return lambda value: kind(value).value, kind
    if is_dataclass(kind):
        return _dataclass(kind)
    raise TypeError(f"there is no plain form of {kind}")


def _optional(kind: Any) -> tuple[_Write, _Read]:
    (inner,) = [each for each in get_args(kind) if each is not NoneType]
    write, read = _form(inner)
    return (
        lambda value: None if value is None else write(value),
        lambda plain: None if plain is None else read(plain),
    )


def _dataclass(kind: Any) -> tuple[_Write, _Read]:
    types = get_type_hints(kind)
    forms = [(each.name, *_form(types[each.name]), _default(each)) for each in fields(kind)]
    known = {name: read for name, _write, read, _default in forms}

    def write(value: Any) -> dict[str, Any]:
        found = {}
        for name, write_it, _read_it, default in forms:
            inner = getattr(value, name)
            if inner is not default and (default is MISSING or inner != default):
                found[name] = write_it(inner)
        return found

    def read(plain: Any) -> Any:
        told = _map(plain)
        if strange := sorted(set(told) - set(known)):
            raise ValueError(f"{kind.__name__} has no field {strange[0]!r}")
        return kind(**{name: known[name](inner) for name, inner in told.items()})

    return write, read


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _text(plain: Any) -> str:
    if type(plain) is not str:
        raise TypeError(f"{plain!r} is no text")
    return plain


def _whole(plain: Any) -> int:
    if type(plain) is not int:
        raise TypeError(f"{plain!r} is no whole number")
    return plain


def _flag(plain: Any) -> bool:
    if type(plain) is not bool:
        raise TypeError(f"{plain!r} is neither true nor false")
    return plain


def _moment(plain: Any) -> datetime:
    found = datetime.fromisoformat(_text(plain))
    if found.tzinfo is None:
        raise ValueError(f"{plain!r} has no time zone")
    return found


def _map(plain: Any) -> Mapping[str, Any]:
    if not isinstance(plain, Mapping):
        raise TypeError(f"{plain!r} is no map")
    return plain


def _list(plain: Any) -> Sequence[Any]:
    if not isinstance(plain, list):
        raise TypeError(f"{plain!r} is no list")
    return plain


# float(): 1, 1.0 and numpy's 1.0 are one value and must be one text
_LEAVES: dict[Any, tuple[_Write, _Read]] = {
    str: (str, _text),
    int: (int, _whole),
    bool: (bool, _flag),
    float: (lambda value: repr(float(value)), lambda plain: float(_text(plain))),
    timedelta: (lambda value: value // _MICROSECOND, lambda plain: _whole(plain) * _MICROSECOND),
    datetime: (lambda value: value.astimezone(UTC).isoformat(timespec="microseconds"), _moment),
}
