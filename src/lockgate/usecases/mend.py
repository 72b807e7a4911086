"""Builds what somebody edited of the record's tree again: leaves and nodes follow from the entries, which are signed.

Only where the entries are those that every checkpoint signed. What happened to an entry, a position or a checkpoint
itself cannot be mended here: verifying names it, and a backup holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.checkpoints import Check, PublicKey, SignedCheckpoint
from lockgate.domain.errors import BadInput, Conflict
from lockgate.domain.identity import Who
from lockgate.domain.merkle import Frontier, Place
from lockgate.domain.verification import leaf_of
from lockgate.usecases import keys
from lockgate.usecases.ports import Ports
from lockgate.usecases.sequence import LEASE
from lockgate.usecases.tree_ports import KeptCheckpoint, Sequencing, Tree

_LEVELS = 12
AT_ONCE = 1 << _LEVELS
_NO_NUMBER = 1 << 62


@dataclass(frozen=True, slots=True)
class Mended:
    """How many leaves and nodes were not as they should be."""

    leaves: int
    nodes: int


@dataclass(slots=True)
class _Difference:
    leaves: dict[int, bytes] = field(default_factory=dict)
    made: dict[Place, bytes] = field(default_factory=dict)
    kept: dict[Place, bytes] = field(default_factory=dict)
    behind: int = 0

    @property
    def nodes(self) -> dict[Place, bytes]:
        return {place: top for place, top in self.made.items() if self.kept.get(place) != top}

    @property
    def gone(self) -> set[Place]:
        return set(self.kept.keys() - self.made.keys())


def mend(ports: Ports, sequencing: Sequencing, check: Check, who: Who, reason: str) -> Mended:
    """Put leaves and nodes right, on the record; nothing is written where nothing is wrong.

    Raises BadInput without a reason, Conflict while a controller is at it or where the entries are not those that were
    signed.
    """
    if not reason.strip():
        raise BadInput("This needs a reason.", hint="--reason says what happened; it stays on the record.")
    with ports.store.reading() as work:
        known = tuple(each.public for each in keys.ring(work, check).keys)
    with sequencing.growing(ports.owner, LEASE) as growth:
        if growth is None:
            raise Conflict(
                "A controller places entries at this moment.", hint="Stop it, and try again in some seconds."
            )
        found = compare(growth.tree, growth.size, known, check)
        growth.mend(found.leaves, found.nodes, found.gone)
    done = Mended(len(found.leaves) + found.behind, len(found.nodes) + len(found.gone))
    if done.leaves or done.nodes:
        detail: dict[str, Plain] = {"leaves": done.leaves, "nodes": done.nodes}
        with ports.store.writing(None) as work:
            work.record.write(Entry("record:mended", who, ports.clock.now(), why=reason, detail=detail))
    return done


def compare(tree: Tree, size: int, known: Sequence[PublicKey], check: Check) -> _Difference:
    """What is not as it follows from the entries. Raises Conflict where they are not those that `known` keys signed."""
    found, built = _Difference(), Frontier()
    for begin in range(0, size, AT_ONCE):
        end = min(begin + AT_ONCE, size)
        made: dict[Place, bytes] = {}
        points = {each.size: each for each in tree.checkpoints(begin + 1, end + 1)}
        placed = {position: (leaf, entry) for position, leaf, entry in tree.leaves(begin, end)}
        for position in range(begin, end):
            leaf, entry = placed.get(position, (b"", None))
            if entry is None:
                raise _lost(f"nothing is left of the entry at position {position}, or of its place")
            right = leaf_of(entry.hash)
            if leaf != right:
                found.leaves[position] = right
            made.update(built.append(right))
            if (point := points.get(position + 1)) is not None:
                _fits(point, built, known, check)
        kept = tree.inner(Place(0, begin).number, Place(0, begin + AT_ONCE).number)
        # what is as it should be need not be remembered; one number of a page is a node over several
        same = {place for place, top in made.items() if kept.get(place) == top}
        found.made |= {place: top for place, top in made.items() if place not in same}
        found.kept |= {place: top for place, top in kept.items() if place not in same}
    behind = -(-size // AT_ONCE) * AT_ONCE
    found.kept |= tree.inner(Place(0, behind).number, _NO_NUMBER)
    found.behind = len(tree.leaves(size, _NO_NUMBER))
    newest = tree.newest()
    if newest is not None and newest.size > size:
        raise _lost(f"a checkpoint covers {newest.size} entries, and the tree has {size}")
    return found


def _fits(point: KeptCheckpoint, built: Frontier, known: Sequence[PublicKey], check: Check) -> None:
    try:
        found = SignedCheckpoint.parse(point.note)
    except BadInput:
        raise _lost(f"the checkpoint of size {point.size} cannot be read") from None
    signed = found.checkpoint
    if not found.note.signed_by(known, check):
        raise _lost(f"the checkpoint of size {point.size} is signed by no key of this record")
    if signed.size != point.size or signed.root != built.root():
        raise _lost(f"the entries are not those of the checkpoint of size {point.size}")


def _lost(what: str) -> Conflict:
    return Conflict(
        f"The tree cannot be built again: {what}. Nothing was changed.",
        hint="lockgate audit verify names what was changed; it takes a backup to put that back.",
    )
