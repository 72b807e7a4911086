"""Results that systems outside report about a version, as the API answers and asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lockgate.wire.shapes import Check

_CLOSED: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class CheckList:
    """The one that counts of each name, by name; or all of them, newest first."""

    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class CheckAsk:
    """Report that a version passed or failed a check. With `digest` only if its artifacts have that digest."""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    version: int
    name: str
    passed: bool
    url: str = ""
    comment: str = ""
    digest: str = ""
