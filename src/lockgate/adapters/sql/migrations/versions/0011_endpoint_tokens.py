"""Tokens that let callers ask an endpoint for predictions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lockgate_endpoint_tokens",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=256), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_endpoint_tokens_model_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_endpoint_tokens_pk"),
        sa.UniqueConstraint("digest", name="lockgate_endpoint_tokens_digest_uq"),
    )
    op.create_index("lockgate_endpoint_tokens_model", "lockgate_endpoint_tokens", ["model_id", "environment"])


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
