"""What retention needs of the outside: the rule, the models that are held, and the texts of entries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from lockgate.domain.identity import Who


@dataclass(frozen=True, slots=True)
class Rule:
    """For how long texts are kept (`length` None: for ever), and who said so."""

    length: timedelta | None
    set_by: Who
    set_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing of this model is removed while it stands. `model` is its present or last name."""

    id: str
    model: str
    reason: str
    added_by: Who
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Removable:
    """An entry whose text may go: its row, its place in its chain, and when it was written."""

    row: int
    chain: str
    number: int
    at: datetime


class Keeping(Protocol):
    """How the record is kept, in all workspaces; models are named in this one."""

    def rule(self) -> Rule | None:
        """The one in force; None as long as nobody set one: for ever."""

    def set_rule(self, rule: Rule) -> None: ...

    def holds(self) -> Sequence[Hold]:
        """Those that stand, the oldest first."""

    def hold(self, hold: Hold) -> bool:
        """Add it; False when there never was a model of that name."""

    def release(self, model: str, at: datetime) -> Sequence[Hold]:
        """End those of the model; which they were."""

    def anchored(self) -> int:
        """How many entries the largest checkpoint covers that lies in a place outside."""

    def removable(
        self, times: tuple[datetime | None, datetime], below: int, never: Collection[str], limit: int
    ) -> Sequence[Removable]:
        """Entries of that time (None: of any before its end) with a position below that, of no model that is held.

        The oldest first.
        """

    def remove(self, rows: Collection[int], at: datetime) -> None:
        """Empty their texts; hash, chain and position stay."""

    def removed(self) -> int:
        """How many entries have no text any more."""
