"""Results that systems outside report about a version, as the API answers and asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from lockgate.wire.shapes import Who

_CLOSED: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class Check:
    """One result: its `grade` is attested. `digest` is that of the artifacts it is about."""

    model: str
    version: int
    name: str
    passed: bool
    who: Who
    at: datetime
    digest: str
    grade: str = "attested"
    url: str = ""
    comment: str = ""

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"


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
