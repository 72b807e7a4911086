"""The record's tree as one transaction sees it: positions, nodes and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select

from lockgate.adapters.sql.tables import audit, chains
from lockgate.adapters.sql.tree_tables import TREE, checkpoints, leaves, nodes, tree
from lockgate.domain.audit import Linked
from lockgate.domain.merkle import Place
from lockgate.usecases.tree_ports import KeptCheckpoint, Placed

_AT_A_TIME = 1_000
# made once: making a statement takes longer than running it
_SIZE = select(tree.c.size).where(tree.c.id == TREE)
_LEAVES = select(leaves.c.position, leaves.c.hash).where(leaves.c.position.in_(bindparam("places", expanding=True)))
_NODES = select(nodes.c.place, nodes.c.hash).where(nodes.c.place.in_(bindparam("places", expanding=True)))
_ENTRY = (audit.c.chain, audit.c.number, audit.c.hash, audit.c.text)
_POSITION = (
    select(leaves.c.position)
    .join(audit, audit.c.id == leaves.c.entry)
    .where(audit.c.chain == bindparam("chain_"), audit.c.number == bindparam("number_"))
)
_PLACED: Select[Any] = (
    select(leaves.c.position, leaves.c.hash.label("leaf"), *_ENTRY)
    .join(audit, audit.c.id == leaves.c.entry)
    .where(leaves.c.position >= bindparam("begin"), leaves.c.position < bindparam("end"))
    .order_by(leaves.c.position)
)
_BARE: Select[Any] = (
    select(leaves.c.position, leaves.c.hash, audit.c.chain, audit.c.number, audit.c.hash)
    .outerjoin(audit, audit.c.id == leaves.c.entry)
    .where(leaves.c.position >= bindparam("begin"), leaves.c.position < bindparam("end"))
    .order_by(leaves.c.position)
)
_INNER = select(nodes.c.place, nodes.c.hash).where(
    nodes.c.place >= bindparam("begin"), nodes.c.place < bindparam("end")
)
_BEHIND: Select[Any] = (
    select(*_ENTRY)
    .where(audit.c.chain == bindparam("chain_"), audit.c.number > bindparam("after"))
    .order_by(audit.c.number, audit.c.id)
    .limit(bindparam("most"))
)
_CHECKPOINTS = select(checkpoints).order_by(checkpoints.c.size, checkpoints.c.id)
_NEWEST = select(checkpoints).order_by(checkpoints.c.size.desc(), checkpoints.c.id.desc()).limit(1)


class SqlTree:
    """`Tree`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def size(self) -> int:
        return self._connection.execute(_SIZE).scalar() or 0

    def nodes(self, places: Iterable[Place]) -> Mapping[Place, bytes]:
        return nodes_at(self._connection, places)

    def position(self, chain: str, number: int) -> int | None:
        return self._connection.execute(_POSITION, {"chain_": chain, "number_": number}).scalar()

    def placed(self, begin: int, end: int) -> Sequence[Placed]:
        rows = self._connection.execute(_PLACED, {"begin": begin, "end": end})
        return [Placed(row.position, linked(row), row.leaf) for row in rows]

    def leaves(self, begin: int, end: int) -> Sequence[tuple[int, bytes, Linked | None]]:
        rows = self._connection.execute(_BARE, {"begin": begin, "end": end})
        return [
            (position, leaf, None if chain is None else Linked(chain, number, told, ""))
            for position, leaf, chain, number, told in rows
        ]

    def inner(self, begin: int, end: int) -> Mapping[Place, bytes]:
        rows = self._connection.execute(_INNER, {"begin": begin, "end": end})
        return {Place.of_number(place): top for place, top in rows}

    def behind(self, chain: str, after: int, limit: int) -> Sequence[Linked]:
        rows = self._connection.execute(_BEHIND, {"chain_": chain, "after": after, "most": limit})
        return [linked(row) for row in rows]

    def heads(self) -> Mapping[str, tuple[int, str]]:
        return {row.chain: (row.number, row.hash) for row in self._connection.execute(select(chains))}

    def newest(self) -> KeptCheckpoint | None:
        row = self._connection.execute(_NEWEST).first()
        return _kept(row) if row is not None else None

    def checkpoints(self, begin: int, end: int) -> Sequence[KeptCheckpoint]:
        rows = _CHECKPOINTS.where(checkpoints.c.size >= begin, checkpoints.c.size < end)
        return [_kept(row) for row in self._connection.execute(rows)]


def nodes_at(connection: Connection, places: Iterable[Place]) -> Mapping[Place, bytes]:
    """The hashes at these places: leaves lie in one table, inner nodes in the other."""
    wanted = set(places)
    found: dict[Place, bytes] = {}
    low = [place.nth for place in wanted if place.level == 0]
    high = [place.number for place in wanted if place.level]
    if low:
        found |= {Place(0, row.position): row.hash for row in connection.execute(_LEAVES, {"places": low})}
    if high:
        found |= {Place.of_number(row.place): row.hash for row in connection.execute(_NODES, {"places": high})}
    return found


def linked(row: Row[Any]) -> Linked:
    """An entry in its place."""
    return Linked(row.chain, row.number, row.hash, row.text)


def _kept(row: Row[Any]) -> KeptCheckpoint:
    return KeptCheckpoint(row.size, row.key, row.at, row.note)
