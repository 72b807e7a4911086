"""One way to write a value as bytes, so that a digest of it means something years later.

The form is the part of RFC 8785 (JSON Canonicalization Scheme) that holds for text, whole numbers, booleans, null,
lists and maps with ASCII keys. Floats have no single spelling across languages, so they are refused: write them as text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

Plain = None | bool | int | str | Sequence["Plain"] | Mapping[str, "Plain"]


def canonical(value: Plain) -> bytes:
    """The canonical JSON of `value`. Raises TypeError on a float or anything JSON has no word for."""
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Plain) -> str:
    """`sha256:` and the hexadecimal SHA-256 of the canonical form."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def _refuse_floats(value: Plain) -> None:
    if isinstance(value, float):
        raise TypeError(f"a canonical value has no floats, write {value!r} as text")
    if isinstance(value, Mapping):
        for inner in value.values():
            _refuse_floats(inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            _refuse_floats(inner)
