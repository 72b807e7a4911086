"""Moments as people write them: a date, or a date with a time, in UTC unless it says otherwise."""

from __future__ import annotations

from datetime import UTC, datetime

from lockgate.domain.errors import BadInput

EXAMPLES = "2026-03-01, 2026-03-01T14:30 or 2026-03-01T14:30:00+02:00"


def parse_moment(written: str) -> datetime:
    """The moment, aware and in UTC; a date alone is its first moment. Raises BadInput saying how one is written."""
    try:
        found = datetime.fromisoformat(written.strip())
        found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):  # the year 1 has no moment before its first
        raise BadInput(f"{written[:100]!r} is no date.", hint=f"Write it like {EXAMPLES}; it is UTC.") from None
