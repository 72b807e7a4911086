"""The values that several keys take: a level, and how short and how long a time may be."""

from __future__ import annotations

from datetime import timedelta

from lockgate.adapters.policyfile.places import Place
from lockgate.domain.verdict import Level

LEVELS = tuple(level.value for level in Level)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=3660)


def read_level(place: Place) -> Level | None:
    """One of observe, warn and enforce."""
    found = place.one_of(LEVELS)
    return None if found is None else Level(found)
