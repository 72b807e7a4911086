"""Paths that name a model, as MLflow's and the Open Inference Protocol's clients write them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

Way = tuple[bytes, bytes]
"""How such a path begins, and how it ends."""

_LONGEST = 4096  # a model's name has at most 256 characters, of at most 12 bytes each when quoted
_WAYS: frozenset[Way] = frozenset(
    {*((b"models", end) for end in (b"invocations", b"feedback")), *((b"v2", end) for end in (b"", b"ready", b"infer"))}
)


@dataclass(frozen=True, slots=True)
class Named:
    """What a path names. No version: whichever serves."""

    way: Way
    model: str
    version: int | None


def path_of(way: Way, model: str, version: int | None = None) -> bytes:
    """The path, in the spelling that most clients use."""
    parts = [b"", b"models"] if way[0] == b"models" else [b"", b"v2", b"models"]
    parts.append(quote(model, safe="").encode())
    parts += [] if version is None else [b"versions", b"%d" % version]
    return b"/".join([*parts, way[1]] if way[1] else parts)


def named(path: bytes) -> Named | None:
    """Read a path that names a model; None for any other.

    `/models/M[/versions/N]/invocations`, `/models/M/feedback` and `/v2/models/M[/versions/N][/ready|/infer]`.
    """
    if len(path) > _LONGEST:
        return None
    parts = path.split(b"/")
    kind = parts[1] if len(parts) > 1 else b""
    rest = parts[2:] if kind == b"models" else parts[3:] if parts[1:3] == [b"v2", b"models"] else []
    if parts[0] or not rest or not rest[0]:
        return None
    model, rest = rest[0], rest[1:]
    version = None
    if rest[:1] == [b"versions"]:
        told = rest[1] if len(rest) > 1 else b""
        if not (told.isdigit() and len(told) <= 9 and not told.startswith(b"0")):
            return None
        version, rest = int(told), rest[2:]
    end = rest[0] if rest else b""
    if len(rest) > 1 or (kind, end) not in _WAYS or (rest and not end):
        return None
    try:
        return Named((kind, end), unquote_to_bytes(model).decode(), version)
    except UnicodeDecodeError:
        return None
