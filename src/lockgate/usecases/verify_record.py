"""Checks the record as it lies in the database: its chains, its tree, and every checkpoint that was signed.

What somebody changed behind the server is named. What nobody can find here (a database put back to yesterday, or
rewritten by whoever holds the key too) a checkpoint that is kept elsewhere finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lockgate.domain.audit import Break, Linked
from lockgate.domain.checkpoints import Check, PublicKey, SignedCheckpoint
from lockgate.domain.errors import BadInput
from lockgate.domain.keyring import ACTIONS, Keyring
from lockgate.domain.merkle import Frontier, Place
from lockgate.domain.verification import MOST_FAULTS, leaf_of
from lockgate.usecases import keys
from lockgate.usecases.ports import Work
from lockgate.usecases.tree_ports import KeptCheckpoint

_LEVELS = 12
AT_ONCE = 1 << _LEVELS
_NO_NUMBER = 1 << 62


@dataclass(frozen=True, slots=True)
class Checked:
    """What was checked: `entries` in their chains, `placed` in the tree, and the first `size` signed by `key` at `at`.

    `breaks` holds the first of `count`.
    """

    entries: int
    placed: int
    checkpoints: int
    size: int
    key: PublicKey | None
    at: datetime | None
    breaks: tuple[Break, ...]
    count: int


def verify(work: Work, check: Check) -> Checked:
    """Everything, as one moment shows it: 1,000,000 entries in under a minute. Holds a few thousand at a time."""
    entries, broken = work.record.verify()
    tree = _TreeCheck(work, check)
    found = [*broken, *tree.run()]
    found.sort(key=lambda each: (each.position is not None, each.position or 0, each.chain, each.number))
    best = tree.best.checkpoint if tree.best else None
    return Checked(
        entries=entries,
        placed=tree.size,
        checkpoints=tree.checkpoints,
        size=best.size if best else 0,
        key=tree.key,
        at=best.at if best else None,
        breaks=tuple(found[:MOST_FAULTS]),
        count=len(found),
    )


class _TreeCheck:
    """Builds the tree again from the entries' hashes, and compares all that is kept of it."""

    def __init__(self, work: Work, check: Check) -> None:
        self._tree = work.tree
        self._check = check
        self._ring = keys.ring(work, check)
        self._keys_told = {each.linked.number: each.plain for action in sorted(ACTIONS)
                           for each in work.record.read(action=action, limit=1_000)}  # fmt: skip
        self._built = Frontier()
        # the nodes over more than a page
        self._made: dict[Place, bytes] = {}
        self._kept: dict[Place, bytes] = {}
        self._matched = 0
        self._named = 0
        self._wrong: list[int] = []
        self._holds = True
        self.size = work.tree.size()
        self.checkpoints = 0
        self.best: SignedCheckpoint | None = None
        self.key: PublicKey | None = None

    def run(self) -> Iterator[Break]:
        """Every place where the tree, a node or a checkpoint is not as it should be."""
        yield from self._wrong_keys()
        for begin in range(0, self.size, AT_ONCE):
            end = min(begin + AT_ONCE, self.size)
            yield from self._page(begin, end)
        yield from self._beyond()

    def _wrong_keys(self) -> Iterator[Break]:
        ring = Keyring()
        for number, plain in sorted(self._keys_told.items()):
            try:
                ring = ring.after(plain, self._check)
            except BadInput as wrong:
                because = f"it names a key for checkpoints, and may not: {wrong.message}"
                yield Break(str(plain.get("chain")), number, because)

    def _page(self, begin: int, end: int) -> Iterator[Break]:
        found = {position: (leaf, entry) for position, leaf, entry in self._tree.leaves(begin, end)}
        inner = self._tree.inner(Place(0, begin).number, Place(0, begin + AT_ONCE).number)
        points = {each.size: each for each in self._tree.checkpoints(begin + 1, end + 1)}
        made: dict[Place, bytes] = {}
        for position in range(begin, end):
            leaf, entry = found.get(position, (None, None))
            because = _wrong_leaf(leaf, entry)
            if because:
                self._named += 1
                self._wrong.append(position)
                chain, number = (entry.chain, entry.number) if entry else ("", 0)
                yield Break(chain, number, because, position)
            # the leaf that was kept, where there is one: a changed entry then breaks nothing but its own place
            told = leaf if leaf is not None else leaf_of(entry.hash if entry else "")
            made.update(self._built.append(told))
            if (point := points.get(position + 1)) is not None:
                yield from self._point(point)
        # all but one of a page's numbers are nodes of the page; that one, and what it completes, lie over several
        self._made |= {place: top for place, top in made.items() if place.level > _LEVELS}
        self._kept |= {place: top for place, top in inner.items() if place.level > _LEVELS}
        low, kept = ({p: top for p, top in each.items() if p.level <= _LEVELS} for each in (made, inner))
        yield from _wrong_nodes(low, kept, self._wrong)

    def _point(self, kept: KeptCheckpoint) -> Iterator[Break]:
        self.checkpoints += 1
        where = f"the checkpoint of size {kept.size}"
        last = self._built.size - 1
        try:
            found = SignedCheckpoint.parse(kept.note)
        except BadInput as wrong:
            yield Break("", 0, f"{where} was changed: {wrong.message}", last)
            return
        point = found.checkpoint
        signers = found.note.signed_by((each.public for each in self._ring.keys), self._check)
        if not signers or point.origin != self._ring.origin:
            yield Break("", 0, f"{where} is signed by no key of this record, or was changed", last)
        elif (point.size, point.at, signers[0].id) != (kept.size, kept.at, kept.key):
            yield Break("", 0, f"{where} was moved: the note that is kept for it says another size, time or key", last)
        elif point.root != self._built.root():
            yield from self._differs(where)
        elif self._holds:
            self.best, self.key = found, signers[0]
            self._matched, self._named = point.size, 0

    def _differs(self, where: str) -> Iterator[Break]:
        """Once: all that come later differ with it."""
        if self._holds and not self._named:
            begin, end = self._matched, self._built.size - 1
            which = f"the entry at position {begin}" if begin == end else f"one of those at positions {begin} to {end}"
            yield Break("", 0, f"{which} was replaced, with its leaf: {where}, which was signed, says so", begin)
        self._holds = False

    def _beyond(self) -> Iterator[Break]:
        """What is kept behind the end of the tree, and a tree of which nothing is signed."""
        behind = -(-self.size // AT_ONCE) * AT_ONCE
        self._kept |= self._tree.inner(Place(0, behind).number, _NO_NUMBER)
        yield from _wrong_nodes(self._made, self._kept, self._wrong)
        if self._tree.leaves(self.size, self.size + 1):
            yield Break("", 0, "there is a leaf behind the end of the tree: its size was changed", self.size)
        newest = self._tree.newest()
        if newest is not None and newest.size > self.size:
            because = f"a checkpoint covers {newest.size} entries, and the tree has {self.size}: entries were cut off"
            yield Break("", 0, because, self.size)


def _wrong_leaf(leaf: bytes | None, entry: Linked | None) -> str:
    if leaf is None:
        return "nothing is kept at this position: it was dropped from the tree"
    if entry is None:
        return "the entry at this position is missing: it was dropped from the record"
    if leaf_of(entry.hash) != leaf:
        return "its hash is not the one that has this position in the tree: it was replaced, or its leaf was"
    return ""


def _wrong_nodes(made: Mapping[Place, bytes], kept: Mapping[Place, bytes], wrong: Sequence[int]) -> Iterator[Break]:
    """Nodes that are not as they are made from the leaves; those above a leaf that was named are not named again."""
    if made == kept:
        return
    for place in sorted(made.keys() | kept.keys()):
        begin, end = place.nth << place.level, (place.nth + 1) << place.level
        if made.get(place) != kept.get(place) and not any(begin <= position < end for position in wrong):
            what = "is missing" if place not in kept else "was changed" if place in made else "has no business there"
            yield Break("", 0, f"the tree's node over positions {begin} to {end - 1} {what}", begin)
