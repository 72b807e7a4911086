"""Where the artifacts of registered versions lie, so that nobody overwrites or deletes them by another way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# compared letter by letter, so that a folder's contents are one range of the index
_PLACE = sa.String(length=1000).with_variant(sa.String(length=1000, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "lockgate_sources",
        sa.Column("workspace", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", _PLACE, nullable=False),
        sa.PrimaryKeyConstraint("workspace", "name", "version", name="lockgate_sources_pk"),
    )
    op.create_index("lockgate_sources_place", "lockgate_sources", ["place"])


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
