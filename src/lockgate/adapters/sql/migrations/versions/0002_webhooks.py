"""Deliveries of webhooks, what they hear besides MLflow's events, and the workspace of what is owed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# SQLite numbers rows by itself only in a column that is exactly INTEGER
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_WAITING = sa.text("state = 'waiting'")
_LEASED = sa.text("lease_owner IS NOT NULL")


def upgrade() -> None:
    # the release before this one writes to the outbox without naming the workspace
    workspace = sa.Column("workspace", sa.String(length=63), server_default=sa.text("'default'"), nullable=False)
    op.add_column("lockgate_outbox", workspace)
    op.create_table(
        "lockgate_subscriptions",
        sa.Column("webhook", sa.String(length=256), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("webhook", "event", name="lockgate_subscriptions_pk"),
    )
    _deliveries()


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")


def _deliveries() -> None:
    op.create_table(
        "lockgate_deliveries",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("delivery", sa.String(length=36), nullable=False),
        sa.Column("workspace", sa.String(length=63), nullable=False),
        sa.Column("webhook", sa.String(length=256), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempted_at", sa.BigInteger(), nullable=True),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("answer", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("lease_owner", sa.String(length=256), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="lockgate_deliveries_pk"),
        sa.UniqueConstraint("delivery", name="lockgate_deliveries_delivery_uq"),
        sqlite_autoincrement=True,
    )
    op.create_index("lockgate_deliveries_webhook", "lockgate_deliveries", ["webhook", "id"])
    op.create_index(
        "lockgate_deliveries_due",
        "lockgate_deliveries",
        ["webhook", "due_at", "id"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
    op.create_index(
        "lockgate_deliveries_leased",
        "lockgate_deliveries",
        ["webhook"],
        sqlite_where=_LEASED,
        postgresql_where=_LEASED,
    )
    op.create_index("lockgate_deliveries_attempted", "lockgate_deliveries", ["attempted_at"])
