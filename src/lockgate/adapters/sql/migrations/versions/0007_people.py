"""People, service accounts, what they were given, their tokens, and the logins that failed lately."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# SQLite numbers rows by itself only in a column that is exactly INTEGER
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "lockgate_people",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("look", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("password_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=256), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="lockgate_people_pk"),
        sa.UniqueConstraint("name", name="lockgate_people_name_uq"),
        sa.UniqueConstraint("look", name="lockgate_people_look_uq"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lockgate_grants",
        sa.Column("person_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("pattern", sa.String(length=256), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.Column("granted_by", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["lockgate_people.id"], name="lockgate_grants_person_id_fk"),
        sa.PrimaryKeyConstraint("person_id", "role", "pattern", name="lockgate_grants_pk"),
    )
    _tokens()
    op.create_table(
        "lockgate_failed_logins",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="lockgate_failed_logins_pk"),
        sqlite_autoincrement=True,
    )
    op.create_index("lockgate_failed_logins_name", "lockgate_failed_logins", ["name", "at"])
    op.create_index("lockgate_failed_logins_address", "lockgate_failed_logins", ["address", "at"])


def _tokens() -> None:
    op.create_table(
        "lockgate_tokens",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("roles", sa.String(length=200), nullable=False),
        sa.Column("pattern", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=256), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["lockgate_people.id"], name="lockgate_tokens_person_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_tokens_pk"),
        sa.UniqueConstraint("digest", name="lockgate_tokens_digest_uq"),
    )
    op.create_index("lockgate_tokens_person", "lockgate_tokens", ["person_id", "created_at"])


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
