"""One way to write a value as bytes, so that a digest of it means something years later.

The form is the part of RFC 8785 (JSON Canonicalization Scheme) that holds for text, whole numbers, booleans, null,
lists and maps with ASCII keys. Floats have no single spelling across languages, so they are refused: write them as
text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockgate.domain.errors import BadInput


@dataclass(frozen=True, slots=True)
class Codec:
    """A way to read JSON, and to write what was read in canonical form. Both raise ValueError or TypeError.

    A library may be several times as fast as the standard one, which matters where a million texts are compared.
    """

    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]


def _no_float(_written: str) -> None:
    """Canonical texts have none, so that what is written again is another text."""


_DECODER = json.JSONDecoder(parse_float=_no_float)
# what comes out of JSON needs none of the looking that `canonical` does
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
STANDARD = Codec(lambda told: _DECODER.decode(told.decode()), lambda value: _ENCODER.encode(value).encode())

_LEAVES = frozenset({str, int, bool, type(None)})
Plain = None | bool | int | str | Sequence["Plain"] | Mapping[str, "Plain"]


def canonical(value: Plain) -> bytes:
    """The canonical JSON of `value`.

    Raises TypeError on a float, a key that is no text, or anything JSON has no word for; BadInput on half a character.
    """
    written = json.dumps(_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return written.encode()
    except UnicodeEncodeError:
        # JSON can spell a lone surrogate (\ud800), UTF-8 cannot
        raise BadInput(
            "A text holds half a character (a lone surrogate).", hint="Send text that is valid Unicode."
        ) from None


def digest(value: Plain) -> str:
    """`sha256:` and the hexadecimal SHA-256 of the canonical form."""
    return digest_of(canonical(value))


def digest_of(text: bytes) -> str:
    """The digest of a canonical form that is at hand."""
    return "sha256:" + hashlib.sha256(text).hexdigest()


def _json(value: Plain) -> Plain:
    """The same value in the dicts and lists the json module knows."""
    if type(value) in _LEAVES:  # nearly all, and asking what is a mapping takes its time
        return value
    if isinstance(value, float):
        raise TypeError(f"a canonical value has no floats, write {value!r} as text")
    if isinstance(value, Mapping):
        # json would write the key 1 like the key "1", and two different maps would have one digest
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of a canonical map are text")
        return {key: _json(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        return [_json(inner) for inner in value]
    return value
