"""Semantic versions, as the API answers and asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from lockgate.wire.shapes import Who

_CLOSED: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed in the signature, in words. `size` is major, minor or patch."""

    size: str
    told: str


@dataclass(frozen=True, slots=True)
class Numbered:
    """The semantic version of a version; None while it has none, and `because` says why.

    `origin` is signature (computed), person (set by hand) or tag (it was there before Lockgate). `compared_with` is the
    version before it whose signature it was compared with.
    """

    model: str
    version: int
    semantic_version: str | None
    origin: str
    because: str
    who: Who
    at: datetime
    compared_with: int | None = None

    @property
    def ref(self) -> str:
        """The version as people write it, `fraud@7`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class NumberedList:
    """Every version of a model, newest first."""

    versions: tuple[Numbered, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """One version's number, and what changed since version `against`.

    `changes` is None while one of the two signatures is not known, and where there is nothing to compare with.
    """

    numbered: Numbered
    against: int | None
    changes: tuple[Change, ...] | None


@dataclass(frozen=True, slots=True)
class SemverAsk:
    """Set a version's semantic version by hand, for a reason that stands on the record."""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    version: int
    semantic_version: str
    reason: str
