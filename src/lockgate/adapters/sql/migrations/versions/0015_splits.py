"""How the requests to an endpoint are divided among versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lockgate_splits",
        sa.Column("model_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("environment", sa.String(64), nullable=False),
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("set_by", sa.String(256), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_splits_model_id_fk"),
        sa.PrimaryKeyConstraint("model_id", "environment", name="lockgate_splits_pk"),
    )
    op.create_index("lockgate_releases_version", "lockgate_releases", ["endpoint", "version", "created_at"])


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
