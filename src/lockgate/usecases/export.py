"""Gives the whole record away: as a file that proves itself, and in small proofs about single entries and checkpoints.

Everything is read a thousand entries at a time, each in a moment of its own, so that a record of any size is exported
without holding anybody up. What is already there never changes, and where the file ends is known before it begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from lockgate.domain import exported, proofs
from lockgate.domain.canonical import STANDARD, Codec, Plain
from lockgate.domain.checkpoints import Check, SignedCheckpoint
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.merkle import consistency_ranges, inclusion_ranges, places_of, proof_from
from lockgate.usecases import keys
from lockgate.usecases.ports import Store, Work

AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Consistency:
    """That the tree of `second` begins with that of `first`: its hashes, from the lowest up."""

    first: int
    second: int
    proof: tuple[bytes, ...]


def lines(store: Store, check: Check, at: datetime, codec: Codec = STANDARD) -> Iterator[bytes]:
    """The record as it is now, line by line (`domain/exported.py`). Raises Unavailable when the database goes away."""
    return exported.written(objects(store, check, at), codec.write)


def objects(store: Store, check: Check, at: datetime) -> Iterator[Plain]:
    """What the lines say: a header, entries with their checkpoints between them, and the heads of the chains."""
    with store.reading() as work:
        size, heads, ring = work.tree.size(), work.tree.heads(), keys.ring(work, check)
    yield exported.header(ring.origin, (each.public for each in ring.keys), at)
    ends = dict.fromkeys(heads, 0)
    for begin in range(0, size, AT_ONCE):
        end = min(begin + AT_ONCE, size)
        with store.reading() as work:
            entries = work.tree.placed(begin, end)
            # a checkpoint over nothing is never signed
            points = {each.size: each.note for each in work.tree.checkpoints(begin + 1, end + 1)}
        for each in entries:
            ends[each.linked.chain] = max(ends.get(each.linked.chain, 0), each.linked.number)
            yield exported.entry(each.linked, each.position)
            if each.position is not None and (note := points.get(each.position + 1)) is not None:
                yield exported.checkpoint(note)
    for chain, (number, _) in sorted(heads.items()):
        yield from _behind(store, chain, ends[chain], number)
    for chain, (number, last) in sorted(heads.items()):
        yield exported.head(chain, number, last)


def count(store: Store) -> int:
    """How many entries an export would hold now, for showing how far it is."""
    with store.reading() as work:
        return sum(number for number, _ in work.tree.heads().values())


def newest_checkpoint(work: Work) -> SignedCheckpoint | None:
    """The signed checkpoint over most entries: what is kept elsewhere, so that nothing before it can be rewritten."""
    kept = work.tree.newest()
    return SignedCheckpoint.parse(kept.note) if kept is not None else None


def prove(store: Store, check: Check, chain: str, number: int) -> Plain:
    """The proof that the entry is on the record: under 5 ms, whatever the record's size.

    Raises NotFound without such an entry, Conflict while no checkpoint covers it.
    """
    with store.reading() as work:
        position = work.tree.position(chain, number)
        found = work.tree.placed(position, position + 1) if position is not None else ()
        if position is None or not found:
            if not work.tree.behind(chain, number - 1, 1):
                raise NotFound(f"There is no entry {chain}#{number}.", hint="See: lockgate audit list")
            raise _unsigned(chain, number)
        signed = newest_checkpoint(work)
        if signed is None or signed.checkpoint.size <= position:
            raise _unsigned(chain, number)
        ranges = inclusion_ranges(position, signed.checkpoint.size)
        path = proof_from(ranges, work.tree.nodes(places_of(ranges)))
        ring = keys.ring(work, check)
    public = (each.public for each in ring.keys)
    return proofs.proof(found[0].linked, position, path, str(signed.note), public)


def consistency(store: Store, first: int, second: int | None = None) -> Consistency:
    """The proof that the first `second` entries (None: as many as there are) begin with the first `first` of them.

    Raises BadInput when there are fewer.
    """
    with store.reading() as work:
        size = work.tree.size()
        later = size if second is None else second
        if not 0 <= first <= later <= size:
            raise BadInput(
                f"There is no proof from size {first} to {later}: the tree has {size} entries.",
                hint="Give two sizes of checkpoints, the smaller one first.",
            )
        ranges = consistency_ranges(first, later)
        return Consistency(first, later, tuple(proof_from(ranges, work.tree.nodes(places_of(ranges)))))


def _behind(store: Store, chain: str, after: int, last: int) -> Iterator[Plain]:
    """What a chain had behind its last entry with a position."""
    while after < last:
        with store.reading() as work:
            found = work.tree.behind(chain, after, AT_ONCE)
        for linked in found:
            if linked.number <= last:
                yield exported.entry(linked, None)
        if len(found) < AT_ONCE:
            return
        after = found[-1].number


def _unsigned(chain: str, number: int) -> Conflict:
    return Conflict(
        f"No checkpoint covers {chain}#{number} yet.",
        hint="The controller signs one within seconds: try again. Is it running? lockgate status",
    )
