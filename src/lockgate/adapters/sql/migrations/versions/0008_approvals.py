"""What an approval signed, who stood in for whom, what was taken back; broken glass; policies that wait for a second
person.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_EMPTY = sa.text("''")
_NOT_ENDED = sa.text("ended_at IS NULL")
_UNREVIEWED = sa.text("reviewed_at IS NULL AND confirmed_at IS NOT NULL")


def upgrade() -> None:
    op.add_column(
        "lockgate_approval_requests", sa.Column("closed_because", sa.Text(), nullable=False, server_default=_EMPTY)
    )
    op.add_column("lockgate_approvals", sa.Column("behalf", sa.String(256), nullable=False, server_default=_EMPTY))
    op.add_column("lockgate_approvals", sa.Column("withdrawn_at", sa.BigInteger()))
    op.add_column(
        "lockgate_approvals", sa.Column("withdrawn_because", sa.Text(), nullable=False, server_default=_EMPTY)
    )
    op.add_column("lockgate_promotions", sa.Column("asked_plan", sa.String(80), nullable=False, server_default=_EMPTY))
    op.create_table(
        "lockgate_plans",
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="lockgate_plans_pk"),
    )
    _delegations()
    _glasses()
    _proposals()


def _who(column: str, *, later: bool = False) -> list[sa.Column[object]]:
    return [
        sa.Column(column, sa.String(256), nullable=later),
        sa.Column(f"{column}_verified", sa.Boolean(), nullable=later),
        sa.Column(f"{column}_via", sa.String(64), nullable=later),
    ]


def _delegations() -> None:
    op.create_table(
        "lockgate_delegations",
        sa.Column("id", sa.String(64), nullable=False),
        *_who("giver"),
        sa.Column("taker", sa.String(256), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="lockgate_delegations_pk"),
    )
    for name, column in (("lockgate_delegations_taker", "taker"), ("lockgate_delegations_giver", "giver")):
        table = "lockgate_delegations"
        op.create_index(name, table, [column], sqlite_where=_NOT_ENDED, postgresql_where=_NOT_ENDED)
    op.create_index("lockgate_delegations_at", "lockgate_delegations", ["at"])


def _glasses() -> None:
    op.create_table(
        "lockgate_break_glass",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(20), nullable=False),
        *_who("asked_by"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("artifacts", sa.String(80), nullable=False),
        *_who("confirmed_by", later=True),
        sa.Column("confirmed_at", sa.BigInteger()),
        sa.Column("promotion", sa.String(64), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        *_who("reviewed_by", later=True),
        sa.Column("reviewed_at", sa.BigInteger()),
        sa.Column("review", sa.Text(), nullable=False),
        sa.Column("overdue_noted_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_break_glass_model_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_break_glass_pk"),
    )
    op.create_index(
        "lockgate_break_glass_unreviewed",
        "lockgate_break_glass",
        ["confirmed_at"],
        sqlite_where=_UNREVIEWED,
        postgresql_where=_UNREVIEWED,
    )
    op.create_index("lockgate_break_glass_promotion", "lockgate_break_glass", ["promotion"])
    op.create_index("lockgate_break_glass_model", "lockgate_break_glass", ["model_id", "asked_at"])
    op.create_index("lockgate_break_glass_asked", "lockgate_break_glass", ["asked_at"])


def _proposals() -> None:
    op.create_table(
        "lockgate_policy_proposals",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("before", sa.String(80), nullable=False),
        *_who("proposed_by"),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        *_who("decided_by", later=True),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="lockgate_policy_proposals_pk"),
    )
    op.create_index("lockgate_policy_proposals_at", "lockgate_policy_proposals", ["proposed_at"])


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
