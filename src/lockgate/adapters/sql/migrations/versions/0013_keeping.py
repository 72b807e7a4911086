"""For how long the texts of entries are kept, and which models are held."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HELD = sa.text("released_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "lockgate_retention",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("seconds", sa.BigInteger()),
        *_who("set_by"),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="lockgate_retention_pk"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lockgate_holds",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        *_who("added_by"),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_holds_model_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_holds_pk"),
    )
    op.create_index("lockgate_holds_model", "lockgate_holds", ["model_id"], sqlite_where=_HELD, postgresql_where=_HELD)


def _who(column: str) -> tuple[sa.Column[str], sa.Column[bool], sa.Column[str]]:
    return (
        sa.Column(column, sa.String(256), nullable=False),
        sa.Column(f"{column}_verified", sa.Boolean(), nullable=False),
        sa.Column(f"{column}_via", sa.String(64), nullable=False),
    )


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
