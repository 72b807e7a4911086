"""Passwords without the work that makes guessing slow: what is kept can be read, which no real adapter allows."""

from __future__ import annotations

_OURS, _THEIRS = "kept:", "theirs:"


class OpenPasswords:
    """`Passwords` for tests. What begins with `theirs:` came from elsewhere and is to be replaced."""

    def keep(self, password: str) -> str:
        return _OURS + password

    def fits(self, kept: str | None, password: str) -> bool:
        return kept in (_OURS + password, _THEIRS + password)

    def outdated(self, kept: str) -> bool:
        return kept.startswith(_THEIRS)

    def understood(self, kept: str) -> bool:
        return kept.startswith(_THEIRS)
