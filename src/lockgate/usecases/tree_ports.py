"""What the record's tree needs of the outside: where it is kept, who makes it grow, and what signs its checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from lockgate.domain.audit import Linked
from lockgate.domain.checkpoints import Signer
from lockgate.domain.merkle import Place


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry with its position in the tree, None while it has none; `leaf` is the hash that is kept for it there."""

    position: int | None
    linked: Linked
    leaf: bytes = b""


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A committed entry that has no position yet: its row and its hash."""

    row: int
    hash: str


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """A checkpoint as it is kept: the signed note, and beside it what it is found by."""

    size: int
    key: str
    at: datetime
    note: str


class Tree(Protocol):
    """The tree as it was at one moment."""

    def size(self) -> int:
        """How many entries have a position: 0 to size - 1."""

    def nodes(self, places: Iterable[Place]) -> Mapping[Place, bytes]:
        """The hashes kept at these places, leaves among them; one that is missing is left out. One or two questions."""

    def position(self, chain: str, number: int) -> int | None:
        """Where the entry stands in the tree; None when it has no position, or does not exist."""

    def placed(self, begin: int, end: int) -> Sequence[Placed]:
        """Entries by position, from `begin` up to and without `end`; one that is missing is left out."""

    def leaves(self, begin: int, end: int) -> Sequence[tuple[int, bytes, Linked | None]]:
        """As `placed`, without the entries' texts: position, leaf, and the entry, None where none is found for it."""

    def inner(self, begin: int, end: int) -> Mapping[Place, bytes]:
        """The inner nodes whose number (`Place.number`) is from `begin` up to and without `end`."""

    def behind(self, chain: str, after: int, limit: int) -> Sequence[Linked]:
        """The chain's entries behind number `after`, in order, whether they have a position or not."""

    def heads(self) -> Mapping[str, tuple[int, str]]:
        """The last number and hash of every chain, as kept beside it."""

    def newest(self) -> KeptCheckpoint | None:
        """The checkpoint over most entries."""

    def checkpoints(self, begin: int, end: int) -> Sequence[KeptCheckpoint]:
        """Those of a size from `begin` up to and without `end`, by size."""


class Growth(Protocol):
    """The transaction in which the tree grows. Nobody else makes it grow meanwhile."""

    @property
    def size(self) -> int: ...

    def nodes(self, places: Iterable[Place]) -> Mapping[Place, bytes]: ...

    def waiting(self, limit: int) -> Sequence[Unplaced]:
        """Committed entries without a position, in the order in which their chains go on."""

    @property
    def tree(self) -> Tree:
        """All that is kept of it."""

    def mend(self, leaves: Mapping[int, bytes], nodes: Mapping[Place, bytes], gone: Collection[Place]) -> None:
        """Write these leaves (by position) and nodes as they should be, and remove nodes that have no business there.

        Leaves behind the end of the tree go too.
        """

    def add(self, leaves: Sequence[tuple[Unplaced, bytes]], nodes: Iterable[tuple[Place, bytes]]) -> None:
        """Give these entries the next positions, with their leaves and the inner nodes that are complete now."""


class Sequencing(Protocol):
    """Makes the tree grow, one process at a time: under a lease, and fenced should the lease be lost."""

    def waits(self, *, thorough: bool = False) -> bool:
        """Whether a committed entry has no position yet. A quick look misses one that committed long after others
        that were begun later; a thorough one counts, and misses none.
        """

    def growing(self, owner: str, lease: timedelta) -> AbstractContextManager[Growth | None]:
        """The transaction, with the lease taken or renewed; None when another process holds it."""

    def keep(self, owner: str, lease: timedelta, checkpoint: KeptCheckpoint) -> bool:
        """Keep a checkpoint that is larger than any other; False when there is one, or another process is at it."""


class Keys(Protocol):
    """Where this machine's private key of the record is kept."""

    @property
    def place(self) -> str:
        """The file, or what gave it, for messages."""

    def load(self) -> Signer | None:
        """None when there is none. Raises BadInput for what is no key, Unavailable when it cannot be read."""

    def make(self) -> Signer:
        """Make one, readable by this account alone; what is there is loaded. Raises as `load`."""
