"""The record's tree: positions, nodes and signed checkpoints. Entries that are there get their positions later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# SQLite numbers rows by itself only in a column that is exactly INTEGER
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    tree = op.create_table(
        "lockgate_tree",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("seen", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_owner", sa.String(length=256), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="lockgate_tree_pk"),
    )
    op.bulk_insert(tree, [{"id": 1}])
    op.create_table(
        "lockgate_leaves",
        sa.Column("position", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("position", name="lockgate_leaves_pk"),
        sa.UniqueConstraint("entry", name="lockgate_leaves_entry_uq"),
    )
    op.create_table(
        "lockgate_nodes",
        sa.Column("place", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("place", name="lockgate_nodes_pk"),
    )
    op.create_table(
        "lockgate_checkpoints",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="lockgate_checkpoints_pk"),
        sqlite_autoincrement=True,
    )
    op.create_index("lockgate_checkpoints_size", "lockgate_checkpoints", ["size", "id"])


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
