"""How old a piece of evidence is, and what is said of one that is too old, or that comes from the future."""

from __future__ import annotations

from datetime import datetime, timedelta

from lockgate.domain.durations import spoken

# the clocks of two machines differ by less; more is a clock that was set wrong, and no evidence of anything
SKEW = timedelta(minutes=1)


def in_the_future(at: datetime, now: datetime) -> str:
    """What is wrong with a time that has not come yet; empty when it has, or as good as."""
    if at - now <= SKEW:
        return ""
    return f"at {at:%Y-%m-%d %H:%M:%S} UTC, which is {spoken(at - now)} from now: a clock was wrong, or was set back"


def too_old(at: datetime, now: datetime, limit: timedelta) -> str:
    """What is wrong with its age; empty when it is not older than the limit."""
    age = now - at
    return "" if age <= limit else f"{spoken(age)} ago, and may be {spoken(limit)} old"


def wrong_age(at: datetime | None, now: datetime, limit: timedelta | None) -> str:
    """What is wrong with its time, where an age is asked for: unknown, still to come, or too long ago."""
    if limit is None:
        return ""
    if at is None:
        return "at a time that nobody knows, and the policy asks how old it is"
    return in_the_future(at, now) or too_old(at, now, limit)
