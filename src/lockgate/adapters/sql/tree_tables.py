"""The tables of the record's tree: where each entry stands in it, its complete nodes, and the signed checkpoints.

Nothing of it is written with a change: the sequencer fills them behind the entries that are committed.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, text

from lockgate.adapters.sql.tables import _SERIAL, Instant, _lease, metadata
from lockgate.domain.merkle import HASH_BYTES

# one row: how many entries have a position, the largest row that has one, and who makes the tree grow
tree = Table(
    "lockgate_tree",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False, server_default=text("0")),
    Column("seen", BigInteger, nullable=False, server_default=text("0")),
    *_lease(),
)
TREE = 1

# `entry` is the entry's row in lockgate_audit
leaves = Table(
    "lockgate_leaves",
    metadata,
    Column("position", _SERIAL, primary_key=True, autoincrement=False),
    Column("entry", BigInteger, nullable=False, unique=True),
    Column("hash", LargeBinary(HASH_BYTES), nullable=False),
)

# inner nodes over complete subtrees; `place` is the number of `Place.number`
nodes = Table(
    "lockgate_nodes",
    metadata,
    Column("place", _SERIAL, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(HASH_BYTES), nullable=False),
)

checkpoints = Table(
    "lockgate_checkpoints",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("key", String(16), nullable=False),
    Column("at", Instant, nullable=False),
    Column("note", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("lockgate_checkpoints_size", checkpoints.c.size, checkpoints.c.id)
