"""The ways a call can fail, each saying what is wrong and what to do next."""

from __future__ import annotations

from lockgate.wire.shapes import Gate


class LockgateError(Exception):
    """Something Lockgate can explain. `hint` says what to do next; `promotion` is the id of the one it is about."""

    def __init__(self, message: str, *, hint: str = "", gates: tuple[Gate, ...] = (), promotion: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.gates = gates
        self.promotion = promotion

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class Refused(LockgateError):
    """At least one gate fails: `gates` holds all that were judged. Nothing changed but the record."""


class Waiting(LockgateError):
    """No gate fails, but the move is not done: a gate waits, or the wait given to the call is over."""


class Conflict(LockgateError):
    """Something else holds what this needs: a rollout under way, a serving version, no release to go back to."""


class Failed(LockgateError):
    """It was allowed and was tried, and did not work."""


class NotFound(LockgateError):
    """The named model, version, promotion or endpoint does not exist."""


class BadRequest(LockgateError):
    """The request itself is wrong."""


class Forbidden(LockgateError):
    """The caller may not do this."""


class Unreachable(LockgateError):
    """The server did not answer, not in time, or not as a Lockgate server does."""
