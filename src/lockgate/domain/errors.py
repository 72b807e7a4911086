"""The ways a request can be turned down, each saying what is wrong and what to do next.

The domain does not know HTTP or exit codes: `server/problems.py` and `cli/outcome.py` hold those tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockgate.domain.verdict import Verdict


class LockgateError(Exception):
    """Something Lockgate can explain. `hint` says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadInput(LockgateError):
    """The request itself is wrong: a malformed name, an unknown stage, a broken policy file."""


class NotFound(LockgateError):
    """The named model, version, promotion or endpoint does not exist."""


class Unauthenticated(LockgateError):
    """Nobody knows who asks: no name and password or token, wrong ones, or too many wrong ones.

    `wait` is how many seconds no further attempt is looked at, 0 when the next one is.
    """

    def __init__(self, message: str, *, hint: str = "", wait: float = 0) -> None:
        super().__init__(message, hint=hint)
        self.wait = wait


class Forbidden(LockgateError):
    """The caller may not do this, at any level: a reserved tag, an unknown route."""


class Refused(LockgateError):
    """At least one gate fails. Nothing changed but the record."""

    def __init__(self, message: str, *, verdict: Verdict, promotion: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.verdict = verdict
        self.promotion = promotion


class Waits(LockgateError):
    """No gate fails, but one waits (for an approval, for time in Staging, for a validation)."""

    def __init__(self, message: str, *, verdict: Verdict, promotion: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.verdict = verdict
        self.promotion = promotion


class Conflict(LockgateError):
    """Something else holds what this needs: a rollout under way, a serving version, a protected alias."""

    def __init__(self, message: str, *, promotion: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.promotion = promotion


class Failed(LockgateError):
    """It was allowed and was tried, and did not work: green never became healthy, an artifact changed."""

    def __init__(self, message: str, *, promotion: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.promotion = promotion


class Unavailable(LockgateError):
    """A process this needs does not answer: the server, the agent, the database."""


class Unreadable(LockgateError):
    """A version's artifacts cannot be read: missing, empty, outside the store, or in a store we do not speak."""
