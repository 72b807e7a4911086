"""For how long the texts of entries are kept: as people write it, and which entries never lose theirs."""

from __future__ import annotations

import re
from datetime import timedelta

from lockgate.domain.errors import BadInput
from lockgate.domain.removals import NEVER

FOR_EVER = "for ever"
SHORTEST = timedelta(days=30)
LONGEST_YEARS = 200
YEAR = timedelta(days=365)
# what began the record, who holds it, and what is read of it again: differences that are open are known by these
NEVER_PRUNED = NEVER | {
    *("database:made", "database:adopted", "drift:found", "drift:ended", "hold:added", "hold:released"),
    "record:retention-set",
}

_WRITTEN = re.compile(r"([1-9][0-9]{0,5})\s*(d|day|days|y|year|years)")


def parse_length(written: str) -> timedelta | None:
    """`7y`, `400d`, or `for ever` (None). Raises BadInput for anything else, and for less than 30 days."""
    told = " ".join(written.strip().lower().split())
    if told in (FOR_EVER, "for-ever", "forever"):
        return None
    found = _WRITTEN.fullmatch(told)
    if found is None:
        raise BadInput(f"{written[:50]!r} is no length of time.", hint="Write it like 7y or 400d, or for-ever.")
    length = int(found[1]) * (YEAR if found[2].startswith("y") else timedelta(days=1))
    if not SHORTEST <= length <= LONGEST_YEARS * YEAR:
        raise BadInput(
            f"Texts are kept for {SHORTEST.days} days at least, and {LONGEST_YEARS} years at most.",
            hint="Or for ever, which is the default.",
        )
    return length


def spoken(length: timedelta | None) -> str:
    """How it is told."""
    if length is None:
        return FOR_EVER
    years, rest = divmod(length, YEAR)
    return f"{years}y" if not rest else f"{length.days}d"
