"""The machine's clock and its randomness, the only places where a process looks at either."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing that reads like something else
_TIME_LETTERS = 9
_CHANCE_LETTERS = 5


class SystemClock:
    """The wall clock, aware and in UTC."""

    def now(self) -> datetime:
        """This moment, to the microsecond."""
        return datetime.now(UTC)


class SortableIds:
    """Identifiers such as `prm-06fz3k1pn-8wq2r`: the millisecond they were made in, then 25 bits of chance."""

    def new(self, prefix: str) -> str:
        """A new one; those of later milliseconds sort after it."""
        milliseconds = int(datetime.now(UTC).timestamp() * 1000)
        time = "".join(_ALPHABET[milliseconds >> 5 * place & 31] for place in reversed(range(_TIME_LETTERS)))
        chance = "".join(secrets.choice(_ALPHABET) for _ in range(_CHANCE_LETTERS))
        return f"{prefix}-{time}-{chance}"
