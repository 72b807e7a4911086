"""Makes the record's tree grow behind what is committed, and signs checkpoints of it.

Each step is one transaction that does all or nothing, so whoever is killed between any two leaves a tree that the next
one goes on from. An entry's leaf is the hash by which its chain names it: it proves the entry's text, and goes on
doing so where the text was removed under the rule of retention.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from lockgate.domain.audit import SYSTEM
from lockgate.domain.checkpoints import Check, Checkpoint, SignedCheckpoint, Signer, signed
from lockgate.domain.errors import BadInput, Conflict
from lockgate.domain.merkle import Place, frontier, frontier_places
from lockgate.domain.verification import leaf_of
from lockgate.usecases import keys
from lockgate.usecases.ports import Store
from lockgate.usecases.tree_ports import KeptCheckpoint, Sequencing, Tree, Unplaced

LEASE = timedelta(seconds=5)
AT_ONCE = 500


def grow(sequencing: Sequencing, owner: str, *, most: int = AT_ONCE) -> int:
    """Give the next positions to at most so many entries; how many got one (0 too where another process is at it)."""
    with sequencing.growing(owner, LEASE) as growth:
        if growth is None:
            return 0
        waiting = growth.waiting(most)
        if not waiting:
            return 0
        try:
            tree = frontier(growth.size, growth.nodes(frontier_places(growth.size)))
        except KeyError:
            raise edited("a node at its edge is missing") from None
        new: list[tuple[Unplaced, bytes]] = []
        inner: list[tuple[Place, bytes]] = []
        for entry in waiting:
            leaf = leaf_of(entry.hash)
            new.append((entry, leaf))
            inner += tree.append(leaf)
        growth.add(new, inner)
        return len(new)


def sign(
    store: Store, sequencing: Sequencing, signer: Signer, check: Check, owner: str, now: datetime
) -> Checkpoint | None:
    """Sign a checkpoint of the tree as it is; None when there is one already, or another process is at it.

    Raises Conflict when the key is not (or no longer) on the record, for nobody could check what it signs; and where
    the tree does not go on from the last checkpoint: whoever edited it gets no signature for that.
    """
    with store.reading() as work:
        size, newest = work.tree.size(), work.tree.newest()
        if newest is not None and newest.size >= size:
            return None
        ring = keys.ring(work, check)
        mine = ring.get(signer.key)
        if mine is None or not mine.active:
            raise Conflict(
                "The key that signs checkpoints is not on the record, or was retired there.",
                hint="See which are: lockgate audit key show",
            )
        covered = work.tree.position(SYSTEM, mine.number)
        if covered is None or covered >= size:
            return None  # a checkpoint proves the entry that says whose key it is, or nothing
        root = root_of(work.tree, size)
        if newest is not None:
            _goes_on(work.tree, newest)
    found = Checkpoint(ring.origin, size, root, now)
    note = signed(found, signer).note
    return found if sequencing.keep(owner, LEASE, KeptCheckpoint(size, mine.public.id, now, str(note))) else None


def root_of(tree: Tree, size: int) -> bytes:
    """The root over the first `size` entries, from the nodes that are kept. Raises Conflict when one is missing."""
    places = frontier_places(size)
    try:
        return frontier(size, tree.nodes(places)).root()
    except KeyError:
        raise edited("a node is missing") from None


def edited(what: str) -> Conflict:
    """The tree is not as it was built."""
    return Conflict(
        f"The record's tree was edited past Lockgate: {what}. Nothing is signed.",
        hint="See what was changed: lockgate audit verify. What can be built again from the entries is, with the "
        "controller stopped: lockgate audit mend --reason TEXT",
    )


def _goes_on(tree: Tree, newest: KeptCheckpoint) -> None:
    """Raises Conflict when the first entries of the tree are not those of its newest checkpoint."""
    try:
        point = SignedCheckpoint.parse(newest.note).checkpoint
    except BadInput:
        raise edited("its newest checkpoint cannot be read") from None
    if point.size != newest.size or root_of(tree, point.size) != point.root:
        raise edited(f"its first {point.size} entries are not those of its newest checkpoint")
