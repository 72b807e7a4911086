"""The record as a file: one JSON object a line, in canonical form.

A header, then the entries by position with each checkpoint right behind the entries it signs, then entries that have no
position yet, the heads of the chains, and an end with the SHA-256 of all lines before it. What an entry says is its
`text`, the very bytes that were hashed. docs/reference/export.md describes it for whoever writes another reader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from lockgate.domain.audit import Linked
from lockgate.domain.canonical import Plain, canonical
from lockgate.domain.checkpoints import PublicKey

FORMAT = "lockgate-record-1"


def header(origin: str, keys: Iterable[PublicKey], at: datetime) -> Plain:
    """What begins the file: whose record it is, its public keys, and when it was exported."""
    named = [str(key) for key in keys]
    return {"format": FORMAT, "origin": origin, "keys": named, "at": at.isoformat(timespec="microseconds")}


def entry(linked: Linked, position: int | None) -> Plain:
    """One entry; `position` is None where it has none yet."""
    return {
        "position": position,
        "chain": linked.chain,
        "number": linked.number,
        "hash": linked.hash,
        "text": linked.text,
    }


def checkpoint(note: str) -> Plain:
    """A signed checkpoint over exactly the entries above it."""
    return {"checkpoint": note}


def head(chain: str, number: int, hash: str) -> Plain:  # noqa: A002 - the word for it in the file
    """The end of one chain as kept beside it."""
    return {"head": {"chain": chain, "number": number, "hash": hash}}


def end(entries: int, checkpoints: int, sha256: str) -> Plain:
    """What ends the file: how much there is, and the digest of every line before this one."""
    return {"end": {"entries": entries, "checkpoints": checkpoints, "sha256": sha256}}


def written(objects: Iterable[Plain], write: Callable[[Any], bytes] = canonical) -> Iterator[bytes]:
    """The lines of the whole file, for a header, entries, checkpoints and heads in their order; the end is added.

    `write` gives the canonical form, perhaps faster than `canonical`.
    """
    digest, entries, checkpoints = hashlib.sha256(), 0, 0
    for each in objects:
        if isinstance(each, dict):
            entries += "text" in each
            checkpoints += "checkpoint" in each
        line = write(each) + b"\n"
        digest.update(line)
        yield line
    yield canonical(end(entries, checkpoints, digest.hexdigest())) + b"\n"
