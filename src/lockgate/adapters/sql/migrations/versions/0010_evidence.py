"""What verdicts were based on is kept by its digest, and a promotion names it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lockgate_evidence",
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="lockgate_evidence_pk"),
    )
    op.create_index("lockgate_evidence_kept_at_ix", "lockgate_evidence", ["kept_at"])
    op.create_index("lockgate_policies_digest_ix", "lockgate_policies", ["digest"])
    op.add_column(
        "lockgate_promotions",
        sa.Column("evidence_digest", sa.String(length=80), nullable=False, server_default=sa.text("''")),
    )


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
