"""The one table from our errors to HTTP, and how each is told to MLflow's clients and to ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lockgate.domain.errors import (
    BadInput,
    Conflict,
    Failed,
    Forbidden,
    LockgateError,
    NotFound,
    Refused,
    Unauthenticated,
    Unavailable,
    Unreadable,
    Waits,
)
from lockgate.domain.verdict import Verdict

# 408, 429 and 5xx make MLflow's client repeat the request and lose the reason: no outcome of a promotion is one
TABLE: Mapping[type[LockgateError], tuple[int, str]] = {
    BadInput: (400, "INVALID_PARAMETER_VALUE"),
    NotFound: (404, "RESOURCE_DOES_NOT_EXIST"),
    Unauthenticated: (401, "UNAUTHENTICATED"),
    Forbidden: (403, "PERMISSION_DENIED"),
    Refused: (403, "PERMISSION_DENIED"),
    Waits: (409, "RESOURCE_CONFLICT"),
    Conflict: (409, "RESOURCE_CONFLICT"),
    Failed: (409, "RESOURCE_CONFLICT"),
    Unreadable: (409, "RESOURCE_CONFLICT"),
    Unavailable: (503, "TEMPORARILY_UNAVAILABLE"),
}

# what MLflow 3.17 tells beside these codes
CLASSES: Mapping[str, tuple[str, str]] = {
    "INVALID_PARAMETER_VALUE": ("KAM00", "INVALID_PARAMETER_VALUE"),
    "RESOURCE_DOES_NOT_EXIST": ("KAM00", "RESOURCE_NOT_FOUND"),
    "ENDPOINT_NOT_FOUND": ("KAM00", "RESOURCE_NOT_FOUND"),
    "PERMISSION_DENIED": ("KAM00", "PERMISSION_DENIED"),
    "TEMPORARILY_UNAVAILABLE": ("XXM00", "CLIENT_INTERNAL_ERROR"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it crosses the network: HTTP status, MLflow's code, text for people, and our `lockgate` object."""

    status: int
    code: str
    message: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The body: MLflow's fields, and `lockgate` where there is something to add."""
        body: dict[str, Any] = {"error_code": self.code, "message": self.message}
        if self.code in CLASSES:
            body["sqlstate"], body["error_class"] = CLASSES[self.code]
        return {**body, "lockgate": dict(self.detail)} if self.detail else body


def explain(error: LockgateError) -> Problem:
    """The problem an error is told as. Every class has a row, or one of its bases has: a test keeps it so."""
    # an adapter's own kind of BadInput is told as BadInput
    status, code = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    verdict: Verdict | None = getattr(error, "verdict", None)
    promotion: str = getattr(error, "promotion", "")
    detail: dict[str, Any] = {}
    if promotion or verdict is not None:
        detail = {
            "promotion": promotion,
            "standing": verdict.standing.value if verdict is not None else "",
            "gates": [gate.as_plain() for gate in verdict.gates] if verdict is not None else [],
            "next": error.hint.strip(),
        }
    return Problem(status, code, _message(error), detail)


def _message(error: LockgateError) -> str:
    # MLflow's client shows nothing but the code and this text, so everything a person needs is in it
    return f"{error.message}{error.hint}" if error.hint.startswith("\n") else str(error)
