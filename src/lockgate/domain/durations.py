"""Lengths of time as people write them (`5s`, `24h`, `1.5d`) and as they read them."""

from __future__ import annotations

import re
from datetime import timedelta

from lockgate.domain.errors import BadInput

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WRITTEN = re.compile(r"\s*(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>ms|s|m|h|d)\s*")
_HINT = "Write a number and a unit: 500ms, 5s, 30m, 24h or 2d."


def parse_duration(written: object, *, bare_unit: str | None = None) -> timedelta:
    """Read `5s`, `250ms`, `24h` or `1.5d`; a bare number counts in `bare_unit` where one is given.

    Raises BadInput naming the units.
    """
    try:
        if isinstance(written, (int, float)) and not isinstance(written, bool) and bare_unit and written >= 0:
            return timedelta(seconds=written * _UNITS[bare_unit])
        found = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
        if found is None:
            raise BadInput(f"{written!r} is not a length of time.", hint=_HINT)
        return timedelta(seconds=float(found["number"]) * _UNITS[found["unit"]])
    except OverflowError:
        raise BadInput("That length of time is longer than any calendar.", hint=_HINT) from None


def spoken(length: timedelta) -> str:
    """The two largest units that matter: `23 h 12 min`, `24 h`, `4.2 s`; a length below zero is `0 s`."""
    seconds = max(0.0, length.total_seconds())
    if seconds < 60:
        return f"{min(seconds, 59.9):.3g} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 60:
        return _two(minutes, "min", int(seconds % 60), "s")
    if hours < 48:
        return _two(hours, "h", minutes % 60, "min")
    return _two(days, "d", hours % 24, "h")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
