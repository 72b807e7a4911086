"""What a search asks for: a condition, an order, and where its page begins. How it is written is for others to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = str | int | tuple[str, ...]
# what may be compared and ordered by, under these names on both sides
NUMBERS = frozenset({"version", "created", "updated"})
MOST, LEAST = 2**63 - 1, -(2**63)  # what a database holds as a whole number


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison. `field` is a tag's key when `tag` is set; a number is compared only with a number."""

    field: str
    comparator: str
    value: Value
    tag: bool = False


@dataclass(frozen=True, slots=True)
class Every:
    """Holds when all parts hold, and so when there are none."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Holds when one of its parts holds."""

    parts: tuple[Condition, ...]


Condition: TypeAlias = Compare | Every | Either


@dataclass(frozen=True, slots=True)
class By:
    """A field to sort by."""

    field: str
    ascending: bool = True


@dataclass(frozen=True, slots=True)
class Search:
    """One page: the `size` rows that match behind `after` (the sorted fields of the last row seen) or `offset` rows.

    `order` ends in what names a row, so that no two rows are equal in it. Prompts are left out unless asked for.
    """

    condition: Condition
    order: tuple[By, ...]
    size: int
    after: tuple[str | int | None, ...] | None = None
    offset: int = 0
    prompts: bool = False
