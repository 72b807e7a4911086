"""Gives committed entries their positions in the record's tree: behind the changes, never inside their transactions.

On PostgreSQL rows become visible in another order than they were numbered. Within one chain they do not, for its head
is locked; and so a count of the chains' heads tells for certain whether anything was missed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from lockgate.adapters.sql.dialects import hold_rows_of
from lockgate.adapters.sql.leases import leased
from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.sql.tables import audit, chains
from lockgate.adapters.sql.tree import SqlTree, nodes_at
from lockgate.adapters.sql.tree_tables import TREE, checkpoints, leaves, nodes, tree
from lockgate.domain.errors import Conflict
from lockgate.domain.merkle import Place
from lockgate.usecases.tree_ports import Growth, KeptCheckpoint, Unplaced

# how many rows before the last one with a position a quick look goes back
WINDOW = 1_000
# how long what has no position may go unseen where the database's mark does not tell of it
LOOK_SECONDS = 0.9

# made once: making a statement takes longer than running it
_ROW = select(tree).where(tree.c.id == TREE)
_QUICK = select(func.max(audit.c.id), select(tree.c.seen).where(tree.c.id == TREE).scalar_subquery())
_COUNTS = select(
    select(func.coalesce(func.sum(chains.c.number), 0)).scalar_subquery(),
    select(tree.c.size).where(tree.c.id == TREE).scalar_subquery(),
)
_WAITING = (
    select(audit.c.id, audit.c.hash)
    .where(audit.c.id > bindparam("floor"), ~exists().where(leaves.c.entry == audit.c.id))
    .order_by(audit.c.id)
    .limit(bindparam("most"))
)
_LARGEST = select(func.max(checkpoints.c.size))


class SqlSequencing:
    """`Sequencing`. Not for several threads at once."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        # entries that a head tells of and nobody finds: dropped past Lockgate, which verifying tells
        self._lost = 0
        self._thorough = True
        self._rest = store.rest()

    def waits(self, *, thorough: bool = False) -> bool:
        if self._rest.holds():
            return False
        mark = self._rest.mark()
        with self._store.glancing() as (connection, _):
            greatest, seen = connection.execute(_QUICK).one()
            if greatest is not None and greatest > seen:
                return True
            if thorough:
                written, size = connection.execute(_COUNTS).one()
                self._thorough = written - size > self._lost
                if not self._thorough:
                    self._rest.begin(mark, LOOK_SECONDS)
        return self._thorough

    @contextmanager
    def growing(self, owner: str, lease: timedelta) -> Iterator[Growth | None]:
        with _edited(), self._store.changing() as work:
            row = _held(work.connection, self._store, owner, lease)
            if row is None:
                yield None
                return
            growth = _Growth(work.connection, row, whole=self._thorough)
            yield growth
            growth.close()
            if growth.found_all and self._thorough:
                written, size = work.connection.execute(_COUNTS).one()
                self._lost, self._thorough = max(0, written - size), False

    def keep(self, owner: str, lease: timedelta, checkpoint: KeptCheckpoint) -> bool:
        with self._store.changing() as work:
            row = _held(work.connection, self._store, owner, lease)
            if row is None or row.size < checkpoint.size:
                return False
            largest = work.connection.execute(_LARGEST).scalar()
            if largest is not None and largest >= checkpoint.size:
                return False
            values = {"size": checkpoint.size, "key": checkpoint.key, "at": checkpoint.at, "note": checkpoint.note}
            work.connection.execute(insert(checkpoints).inline(), values)
            return True


@contextmanager
def _edited() -> Iterator[None]:
    """Say what it means when something stands where the next entry belongs."""
    try:
        yield
    except IntegrityError:
        raise Conflict(
            "The record's tree was edited past Lockgate: something stands where the next entry belongs.",
            hint="lockgate audit verify names it; docs/explanation/audit.md says what to do.",
        ) from None


class _Growth:
    """`Growth`: the row of the tree is locked until the transaction ends, so no position is given twice."""

    def __init__(self, connection: Connection, row: Row[Any], *, whole: bool) -> None:
        self._connection = connection
        self.tree = SqlTree(connection)
        self._fence = row.fence
        self._began = row.size
        self._seen = row.seen
        self._floor = 0 if whole else max(0, row.seen - WINDOW)
        self.size: int = row.size
        self.found_all = False

    def nodes(self, places: Iterable[Place]) -> Mapping[Place, bytes]:
        return nodes_at(self._connection, places)

    def waiting(self, limit: int) -> Sequence[Unplaced]:
        rows = self._connection.execute(_WAITING, {"floor": self._floor, "most": limit}).all()
        self.found_all = len(rows) < limit
        return [Unplaced(row.id, row.hash) for row in rows]

    def add(self, new: Sequence[tuple[Unplaced, bytes]], inner: Iterable[tuple[Place, bytes]]) -> None:
        placed = [
            {"position": self.size + number, "entry": entry.row, "hash": leaf}
            for number, (entry, leaf) in enumerate(new)
        ]
        made = [{"place": place.number, "hash": top} for place, top in inner]
        if placed:
            self._connection.execute(insert(leaves).inline(), placed)
        if made:
            self._connection.execute(insert(nodes).inline(), made)
        self.size += len(placed)
        self._seen = max([self._seen, *(entry.row for entry, _ in new)])

    def mend(self, right: Mapping[int, bytes], inner: Mapping[Place, bytes], gone: Collection[Place]) -> None:
        for position, leaf in right.items():
            self._connection.execute(update(leaves).where(leaves.c.position == position).values(hash=leaf))
        self._connection.execute(delete(leaves).where(leaves.c.position >= self.size))
        for place in {*gone, *inner}:
            self._connection.execute(delete(nodes).where(nodes.c.place == place.number))
        if inner:
            made = [{"place": place.number, "hash": top} for place, top in inner.items()]
            self._connection.execute(insert(nodes).inline(), made)

    def close(self) -> None:
        """Write how large the tree is now. Whoever lost the lease meanwhile finds another size and undoes all."""
        stands = (tree.c.id == TREE, tree.c.fence == self._fence, tree.c.size == self._began)
        moved = update(tree).where(*stands).values(size=self.size, seen=self._seen)
        if self._connection.execute(moved).rowcount != 1:
            raise RuntimeError("the tree grew under another hand in a transaction that held it")


def _held(connection: Connection, store: SqlStore, owner: str, lease: timedelta) -> Row[Any] | None:
    """The tree's row, locked and leased to the owner; None while another one's lease holds."""
    row = connection.execute(hold_rows_of(connection, _ROW)).one()
    now = store.now(connection)
    ours = row.lease_owner in (None, owner)
    # one that ends later than any lease can was taken when the clock was ahead
    over = row.lease_until is None or not now <= row.lease_until <= now + lease
    if not (ours or over):
        return None
    fence = row.fence if row.lease_owner == owner else row.fence + 1
    taken = leased(owner, now + lease) | {"fence": fence}
    connection.execute(update(tree).where(tree.c.id == TREE).values(taken))
    return connection.execute(_ROW).one()
