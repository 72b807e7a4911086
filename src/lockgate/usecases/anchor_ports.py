"""What anchoring needs of the outside: places to write checkpoints to, and what is kept of how that went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Anchored:
    """How it stands with one place: the largest checkpoint it holds (0: none), and what went wrong since."""

    place: str
    size: int
    anchored_at: datetime | None
    attempted_at: datetime | None
    due_at: datetime
    failures: int
    error: str
    seen_at: datetime


class Anchor(Protocol):
    """A place outside the database, where a checkpoint stays once it is written."""

    @property
    def place(self) -> str:
        """How people know it: its address without a password."""

    def put(self, note: str, size: int, at: datetime) -> None:
        """Write the signed checkpoint; it is there for good when this returns. Again is no mistake.

        Raises Unavailable saying what is wrong.
        """


class Anchors(Protocol):
    """What is kept of the places."""

    def all(self) -> Sequence[Anchored]:
        """By place."""

    def see(self, place: str, at: datetime) -> bool:
        """A controller writes to it; whether it is new."""

    def claim(self, place: str, now: datetime, until: datetime) -> bool:
        """Take the next attempt, unless another controller has it until then."""

    def written(self, place: str, size: int, at: datetime, due_at: datetime) -> None:
        """It holds a checkpoint over so many entries."""

    def failed(self, place: str, error: str, at: datetime, due_at: datetime) -> None: ...
