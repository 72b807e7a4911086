"""Semantic versions: how large a change of signature is, in words too, and which number follows from it.

MAJOR where somebody who calls the model could notice: an input that is removed, renamed, of another type or newly
required; an output that is removed, renamed or of another type. MINOR where there is something more: a new optional
input or parameter, a new output. Else PATCH.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from lockgate.domain.errors import BadInput
from lockgate.domain.signature import Field, Many, Record, Signature, Type

LARGEST_PART = 999_999_999
_WRITTEN = re.compile(r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")


class Size(IntEnum):
    """How much of a number a change moves."""

    PATCH = 0
    MINOR = 1
    MAJOR = 2

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, order=True)
class SemanticVersion:
    """MAJOR.MINOR.PATCH, ordered as numbers."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @classmethod
    def parse(cls, written: object) -> SemanticVersion:
        """Read `2.0.1`. Raises BadInput for anything else, `v2.0.1`, `2.0` and `2.0.1-rc1` among it."""
        found = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
        if found is None:
            told = repr(written)
            raise BadInput(
                f"{told if len(told) <= 80 else told[:77] + '…'} is not a semantic version.",
                hint="Write it as MAJOR.MINOR.PATCH, three whole numbers, for example 2.0.1.",
            )
        return cls(*(int(part) for part in found.groups()))

    def after(self, size: Size) -> SemanticVersion:
        """The one that follows a change of that size."""
        match size:
            case Size.MAJOR:
                return SemanticVersion(self.major + 1, 0, 0)
            case Size.MINOR:
                return SemanticVersion(self.major, self.minor + 1, 0)
        return SemanticVersion(self.major, self.minor, self.patch + 1)


FIRST = SemanticVersion(1, 0, 0)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was, and how large that is."""

    size: Size
    told: str

    def __str__(self) -> str:
        return self.told


def difference(old: Signature | None, new: Signature | None) -> tuple[Change, ...]:
    """What changed from one signature to the other, the largest first; empty when nothing did.

    No signature is one that states nothing. Inputs that are stated, or no longer, are MAJOR: what was accepted before
    is not known. Outputs that are stated are MINOR, and no longer MAJOR.
    """
    before, after = old or Signature(), new or Signature()
    found = [
        *_part(_INPUT, before.inputs, after.inputs),
        *_part(_OUTPUT, before.outputs, after.outputs),
        *_named(_PARAMETER, "", before.params, after.params),
    ]
    return tuple(sorted(found, key=lambda change: -change.size))


def size_of(changes: Iterable[Change]) -> Size:
    """The largest of them; without any it is a PATCH, since another model was trained all the same."""
    return max((change.size for change in changes), default=Size.PATCH)


def proposed(before: SemanticVersion | None, changes: Collection[Change]) -> SemanticVersion:
    """The number of a version whose signature differs by these from that of the version before it."""
    return FIRST if before is None else before.after(size_of(changes))


@dataclass(frozen=True, slots=True)
class _Side:
    """What a new field, a requirement that is dropped and one that is made mean on one side of the model."""

    name: str
    new_optional: Size
    new_required: Size
    dropped: Size
    made: Size
    new_place: Size  # one more at the end, where all are told by their place: nobody can leave that out


_INPUT = _Side("input", Size.MINOR, Size.MAJOR, Size.MINOR, Size.MAJOR, Size.MAJOR)
_OUTPUT = _Side("output", Size.MINOR, Size.MINOR, Size.MAJOR, Size.MINOR, Size.MAJOR)
_PARAMETER = _Side("parameter", Size.MINOR, Size.MAJOR, Size.MINOR, Size.MAJOR, Size.MAJOR)


def _part(side: _Side, old: Sequence[Field] | None, new: Sequence[Field] | None) -> Iterator[Change]:
    if old is None and new is None:
        return
    if new is None:
        yield Change(Size.MAJOR, f"the {side.name}s are no longer stated")
    elif old is None:
        size = Size.MINOR if side is _OUTPUT else Size.MAJOR
        yield Change(size, f"the {side.name}s are stated now, and were not before")
    elif _are_named(old) and _are_named(new):
        yield from _named(side, "", old, new)
    elif _are_named(old) == _are_named(new):
        yield from _placed(side, old, new)
    else:
        way = "names" if _are_named(new) else "their places"
        yield Change(Size.MAJOR, f"the {side.name}s are told by {way} now")


def _are_named(fields: Sequence[Field]) -> bool:
    names = {field.name for field in fields}
    return None not in names and len(names) == len(fields)


def _named(side: _Side, path: str, old: Sequence[Field], new: Sequence[Field]) -> Iterator[Change]:
    before, after = {field.name: field for field in old}, {field.name: field for field in new}
    removed = [field for field in old if field.name not in after]
    added = [field for field in new if field.name not in before]
    alike = [field for field in added if _alike(removed[0], field)] if len(removed) == 1 else []
    if len(alike) == 1:
        was, now = _at(path, removed[0].name), _at(path, alike[0].name)
        yield Change(Size.MAJOR, f"{side.name} renamed: {was} -> {now} ({_shown(alike[0].type)})")
        removed, added = [], [field for field in added if field is not alike[0]]
    for field in removed:
        yield Change(Size.MAJOR, f"{side.name} removed: {_at(path, field.name)} ({_shown(field.type)})")
    for field in added:
        size = side.new_required if field.required else side.new_optional
        kind = "" if side is _PARAMETER else "required " if field.required else "optional "
        yield Change(size, f"new {kind}{side.name}: {_at(path, field.name)} ({_shown(field.type)})")
    for name, field in after.items():
        if name in before:
            yield from _same(side, f" {_at(path, name)}", before[name], field)


def _placed(side: _Side, old: Sequence[Field], new: Sequence[Field]) -> Iterator[Change]:
    alone = len(old) == len(new) == 1
    for place, (before, after) in enumerate(zip(old, new, strict=False), 1):
        told = "" if alone else f" {place}"
        if before.name != after.name:
            yield Change(Size.MAJOR, f"{side.name}{told} renamed: {_at('', before.name)} -> {_at('', after.name)}")
        yield from _same(side, told, before, after)
    for place, field in enumerate(old[len(new) :], len(new) + 1):
        yield Change(Size.MAJOR, f"{side.name} removed: {place} ({_shown(field.type)})")
    for place, field in enumerate(new[len(old) :], len(old) + 1):
        optional = side is _INPUT and not field.required
        kind = "optional " if optional else ""
        size = side.new_optional if optional else side.new_place
        yield Change(size, f"new {kind}{side.name}: {place} ({_shown(field.type)})")


def _same(side: _Side, told: str, old: Field, new: Field) -> Iterator[Change]:
    """What changed of a field that is there in both; `told` is its name after a space, or nothing."""
    yield from _types(side, told, old.type, new.type)
    if old.required and not new.required:
        yield Change(side.dropped, f"{side.name}{told} is optional now")
    elif new.required and not old.required:
        yield Change(side.made, f"{side.name}{told} is required now")
    if old.default != new.default:
        yield Change(Size.PATCH, f"{side.name}{told}: default {_shown(old.default)} -> {_shown(new.default)}")


def _types(side: _Side, told: str, old: Type, new: Type) -> Iterator[Change]:
    match old, new:
        case Record(before), Record(after):
            yield from _named(side, told.strip(), before, after)
        case Many(one, before), Many(other, after) if one == other:
            yield from _types(side, f"{told}[]" if one == "array" else f"{told}{{}}", before, after)
        case _ if old != new:
            yield Change(Size.MAJOR, f"{side.name}{told}: {_shown(old)} -> {_shown(new)}")


def _alike(old: Field, new: Field) -> bool:
    return (old.type, old.required) == (new.type, new.required)


def _at(path: str, name: str | None) -> str:
    return f"{path}.{_shown(name or '')}" if path else _shown(name or "")


def _shown(of: object) -> str:
    """On one line and not too long, whatever somebody called it: no database takes half a character."""
    told = str(of)
    shown = told if told and told.isprintable() else ascii(told)
    return shown if len(shown) <= 100 else f"{shown[:99]}…"
