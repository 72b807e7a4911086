"""From where and in which request a promotion or validation was asked for, and when an entry's text was removed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("lockgate_promotions", "lockgate_validations"):
        op.add_column(table, _text("asked_by_kind", 16, "'person'"))
        op.add_column(table, _text("asked_by_address", 64, "''"))
        op.add_column(table, _text("asked_by_request", 128, "''"))
    op.add_column("lockgate_audit", sa.Column("pruned_at", sa.BigInteger))


def _text(name: str, length: int, default: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False, server_default=sa.text(default))


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
