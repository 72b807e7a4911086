"""What was measured of versions' engines, and the digest of the converted model that a release asks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_OPEN = sa.text("finished_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "lockgate_measurements",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("asked_by", sa.String(256), nullable=False),
        sa.Column("asked_by_verified", sa.Boolean(), nullable=False),
        sa.Column("asked_by_via", sa.String(64), nullable=False),
        sa.Column("asked_by_kind", sa.String(16), server_default=sa.text("'person'"), nullable=False),
        sa.Column("asked_by_address", sa.String(64), server_default=sa.text("''"), nullable=False),
        sa.Column("asked_by_request", sa.String(128), server_default=sa.text("''"), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(80), nullable=True),
        sa.Column("figures", sa.Text(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("converted", sa.String(80), server_default=sa.text("''"), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_owner", sa.String(256), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_measurements_model_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_measurements_pk"),
    )
    of_version, table = ["model_id", "version"], "lockgate_measurements"
    op.create_index(
        "lockgate_measurements_open", table, of_version, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index(
        "lockgate_measurements_queue", table, ["asked_at"], unique=False, sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index("lockgate_measurements_version", table, [*of_version, "finished_at"], unique=False)
    converted = sa.Column("converted", sa.String(80), nullable=False, server_default=sa.text("''"))
    op.add_column("lockgate_releases", converted)


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
