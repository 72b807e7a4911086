"""What the use cases need to keep the results that systems outside report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lockgate.domain.checks import Check
from lockgate.domain.versions import VersionRef


class Checks(Protocol):
    """Results from outside: all of them stay, and of each name the last one counts."""

    def add(self, ref: VersionRef, check: Check) -> None: ...

    def latest(self, ref: VersionRef) -> Sequence[Check]:
        """The one that counts of each name, sorted by name. Each says of which artifacts it is: see its `digest`."""

    def history(self, ref: VersionRef, limit: int = 100) -> Sequence[Check]:
        """Newest first, those that a later one replaced among them."""
