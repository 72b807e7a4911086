"""When a release stopped taking traffic, so that it can be kept warm for a while, and the memory a group takes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_LEFT = sa.text("left_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("lockgate_releases", sa.Column("left_at", sa.BigInteger()))
    op.create_index(
        "lockgate_releases_left", "lockgate_releases", ["left_at"], sqlite_where=_LEFT, postgresql_where=_LEFT
    )
    op.add_column("lockgate_groups", sa.Column("memory", sa.BigInteger(), server_default=sa.text("0"), nullable=False))


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
