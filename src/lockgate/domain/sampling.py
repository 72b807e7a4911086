"""A sample drawn by chance that anybody can draw again: by the seed, and by nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from heapq import nsmallest

from lockgate.domain.errors import BadInput

MOST = 200
LONGEST_SEED = 100


def draw(ids: Iterable[str], wanted: int, seed: str) -> list[str]:
    """`wanted` of the ids, or all where there are fewer: those with the smallest `rank`, in its order.

    No library's random numbers: those of another release, or of another language, would draw others.
    """
    return nsmallest(wanted, ids, key=lambda id: rank(id, seed))


def rank(id: str, seed: str) -> str:
    """What decides whether an id is drawn: the SHA-256 of `SEED:ID` in hexadecimal."""
    return hashlib.sha256(f"{seed}:{id}".encode()).hexdigest()


def checked_seed(written: str) -> str:
    """The seed as it can be printed and told again. Raises BadInput."""
    told = written.strip()
    if not told or len(told) > LONGEST_SEED or not told.isprintable():
        raise BadInput(
            "The seed cannot be printed and told again.", hint=f"Any word of up to {LONGEST_SEED} characters will do."
        )
    return told
