"""Puts the semantic version beside every version that an answer names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar

from lockgate.domain.semver import SemanticVersion
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import Ports

T = TypeVar("T")
_Numbers = Mapping[VersionRef, SemanticVersion]


def numbered(ports: Ports, told: T) -> T:
    """The same answer with the number of each version in it that has one: all are read at once."""
    refs = set(_refs(told))
    if not refs:
        return told
    with ports.store.reading() as work:
        numbers = work.semver.numbers(refs)
    filled: T = _filled(told, numbers)
    return filled


def _refs(told: Any) -> Iterator[VersionRef]:
    if isinstance(told, tuple):
        for each in told:
            yield from _refs(each)
    elif is_dataclass(told) and not isinstance(told, type):
        names = _names(type(told))
        if "semantic_version" in names:
            yield _ref(told)
        for name in names:
            yield from _refs(getattr(told, name))


def _filled(told: Any, numbers: _Numbers) -> Any:
    if isinstance(told, tuple):
        filled = tuple(_filled(each, numbers) for each in told)
        return filled if any(after is not before for after, before in zip(filled, told, strict=True)) else told
    if not is_dataclass(told) or isinstance(told, type):
        return told
    names = _names(type(told))
    parts = {name: getattr(told, name) for name in names}
    changed = {name: after for name, part in parts.items() if (after := _filled(part, numbers)) is not part}
    if "semantic_version" in names and (number := numbers.get(_ref(told))) is not None:
        changed["semantic_version"] = str(number)
    return replace(told, **changed) if changed else told


def _ref(told: Any) -> VersionRef:
    return VersionRef(told.model, told.version)


@cache
def _names(shape: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(shape))
