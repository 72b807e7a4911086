"""What the file MLmodel says of a model's signature, read as a stream: it is somebody else's, and may be anything.

No value of it is built but the signature's texts, so that nothing in it, nested or referred to over and over, grows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from lockgate.adapters.artifacts.reading import unreadable
from lockgate.usecases.artifact_ports import ModelFile

NAME = "MLmodel"
LARGEST = 8 * 2**20  # bytes
DEEPEST = 50  # maps and lists inside each other
MOST_PARTS = 100_000  # the signature is a handful, however many columns it has
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


class _Odd(Exception):
    """It is none that MLflow writes: the text says why."""


def read(raw: bytes, told: str) -> ModelFile:
    """The signature in the file's bytes, and their digest; `told` is where it lies. Raises Unreadable."""
    import yaml

    try:
        signature = _signature(_counted(yaml.parse(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))))
    except _Odd as odd:
        raise unreadable(told, f"have an MLmodel that MLflow would not write: {odd}") from None
    except (yaml.YAMLError, ValueError) as error:
        because = " ".join(str(error).split())[:200]
        raise unreadable(told, f"have an MLmodel that is no YAML: {because}") from None
    return ModelFile(signature, f"sha256:{hashlib.sha256(raw).hexdigest()}")


def _counted(events: Iterable[Any]) -> Iterator[Any]:
    for number, event in enumerate(events):
        if number > MOST_PARTS:
            raise _Odd(f"it has more than {MOST_PARTS:,} parts")
        yield event


def _signature(events: Iterator[Any]) -> dict[str, str | None] | None:
    from yaml import DocumentStartEvent, MappingEndEvent, MappingStartEvent, ScalarEvent, StreamEndEvent

    opened = [next(events), next(events)]
    if not isinstance(opened[1], DocumentStartEvent) or not isinstance(next(events), MappingStartEvent):
        raise _Odd("it is no map")
    found: dict[str, str | None] | None = None
    seen = False
    while not isinstance(key := next(events), MappingEndEvent):
        name = key.value if isinstance(key, ScalarEvent) else None
        if name == "<<":
            raise _Odd("it refers to a part of itself")
        if name == "signature":
            if seen:
                raise _Odd("it has two signatures")
            found, seen = _parts(next(events), events), True
            continue
        _skip(key, events)
        _skip(next(events), events)
    if not all(isinstance(each, StreamEndEvent) for each in list(events)[1:]):
        raise _Odd("it is more than one document")
    return found


def _parts(first: Any, events: Iterator[Any]) -> dict[str, str | None] | None:
    """The texts of the signature, whose first event was taken already."""
    from yaml import MappingEndEvent, MappingStartEvent, ScalarEvent

    if isinstance(first, ScalarEvent) and _is_null(first):
        return None
    if not isinstance(first, MappingStartEvent):
        raise _Odd("its signature is no map")
    found: dict[str, str | None] = {}
    while not isinstance(key := next(events), MappingEndEvent):
        value = next(events)
        if not isinstance(key, ScalarEvent) or not isinstance(value, ScalarEvent) or key.value in found:
            raise _Odd("its signature is no map of texts")
        found[key.value] = None if _is_null(value) else value.value
    return found


def _is_null(scalar: Any) -> bool:
    return bool(scalar.implicit[0]) and scalar.value in _NULL


def _skip(first: Any, events: Iterator[Any]) -> None:
    """Pass over the rest of a value."""
    from yaml import CollectionEndEvent, CollectionStartEvent

    depth = int(isinstance(first, CollectionStartEvent))
    while depth:
        if depth > DEEPEST:
            # the parser takes longer with each level, and holds up everything else of this process meanwhile
            raise _Odd(f"it is more than {DEEPEST} levels deep")
        event = next(events)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
