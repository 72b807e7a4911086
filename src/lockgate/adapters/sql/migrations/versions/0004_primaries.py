"""The primary of a stage, its newest version and the stay of a version are found by themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("lockgate_versions_stage", table_name="lockgate_versions")
    op.create_index("lockgate_versions_stage", "lockgate_versions", ["model_id", "stage", "entered", "version"])
    op.create_index(
        "lockgate_versions_primary",
        "lockgate_versions",
        ["model_id", "stage"],
        sqlite_where=sa.text("is_primary = 1"),
        postgresql_where=sa.text("is_primary"),
    )
    op.create_index(
        "lockgate_stays_present",
        "lockgate_stays",
        ["model_id", "version"],
        sqlite_where=sa.text("left_at IS NULL"),
        postgresql_where=sa.text("left_at IS NULL"),
    )


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
