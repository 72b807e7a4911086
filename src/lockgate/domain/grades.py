"""How far a piece of evidence can be believed: who said it, or who measured it."""

from __future__ import annotations

from enum import StrEnum


class Grade(StrEnum):
    """Claimed: a client logged it. Attested: a system outside reported it. Measured: Lockgate computed it.

    They are ordered: what asks for one grade takes a better one too.
    """

    CLAIMED = "claimed"
    ATTESTED = "attested"
    MEASURED = "measured"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return _ORDER[self]

    # text compares by letters, which would put attested below claimed
    def __lt__(self, other: str) -> bool:
        return self.rank < Grade(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Grade(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Grade(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Grade(other).rank


_ORDER = {grade: place for place, grade in enumerate(Grade)}
