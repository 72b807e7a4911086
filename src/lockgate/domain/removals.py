"""Texts of entries that were removed under the rule of retention: an entry on the record says which were.

An entry whose text was removed keeps its place: chain and tree hold its hash, and need no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lockgate.domain.canonical import Plain
from lockgate.domain.keyring import ACTIONS

PRUNED = "record:pruned"
# without the texts of these nothing else could be checked
NEVER = ACTIONS | {PRUNED}

_RANGE = re.compile(r"([1-9][0-9]{0,17})(?:-([1-9][0-9]{0,17}))?")


def chains_of(removed: Iterable[tuple[str, int]]) -> dict[str, Plain]:
    """The detail of an entry `record:pruned` under the word `chains`: for each chain the numbers, `["1-40", "57"]`."""
    gathered = Removals()
    for chain, number in sorted(removed):
        gathered.missing(chain, number)
    return {
        chain: [f"{first}-{last}" if last > first else str(first) for first, last in ranges]
        for chain, ranges in gathered.gone.items()
    }


@dataclass(slots=True)
class Removals:
    """Gathers, in any order, whose text is gone (by chain, from a number to a number) and whose may be."""

    gone: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _told: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def missing(self, chain: str, number: int) -> None:
        """The text of this entry is not there."""
        ranges = self.gone.setdefault(chain, [])
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))

    def hear(self, plain: Mapping[str, Any]) -> None:
        """Take up what an entry says was removed; any other entry, and what cannot be read in one, says nothing."""
        detail = plain.get("detail")
        chains = detail.get("chains") if plain.get("action") == PRUNED and isinstance(detail, Mapping) else None
        if not isinstance(chains, Mapping):
            return
        for chain, written in chains.items():
            for each in written if isinstance(written, list) else ():
                found = _RANGE.fullmatch(each) if isinstance(each, str) else None
                if found is not None:
                    first = int(found[1])
                    self._told.setdefault(chain, []).append((first, int(found[2] or first)))

    def unexplained(self) -> list[tuple[str, int]]:
        """Chain and first number of every range of missing texts of which no entry says that they were removed."""
        found = []
        for chain, ranges in sorted(self.gone.items()):
            told = _joined(self._told.get(chain, ()))
            found += [(chain, first) for first, last in ranges if not any(a <= first and last <= b for a, b in told)]
        return found


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
