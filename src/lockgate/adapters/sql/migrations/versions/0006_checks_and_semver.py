"""Results from outside, and the semantic version of each version with what is still to be looked at for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# SQLite numbers rows by itself only in a column that is exactly INTEGER
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TO_BE_NUMBERED = sa.text("semver_due IS NOT NULL AND deleted_at IS NULL")
_NUMBERED = sa.text("major IS NOT NULL")


def upgrade() -> None:
    _checks()
    _semver()
    # whoever registers a version need not know that it is to be numbered
    op.add_column("lockgate_versions", sa.Column("semver_due", sa.BigInteger(), server_default=sa.text("0")))
    # those that are there already come after what is registered from now on
    op.execute("UPDATE lockgate_versions SET semver_due = 1")
    for name, columns in (
        ("lockgate_versions_semver_due", ["semver_due"]),
        ("lockgate_versions_semver", ["model_id", "version"]),
    ):
        op.create_index(
            name,
            "lockgate_versions",
            columns,
            sqlite_where=_TO_BE_NUMBERED,
            postgresql_where=_TO_BE_NUMBERED,
        )


def _checks() -> None:
    op.create_table(
        "lockgate_checks",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        *_who("who"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_checks_model_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_checks_pk"),
        sqlite_autoincrement=True,
    )
    op.create_index("lockgate_checks_version", "lockgate_checks", ["model_id", "version", "name", "id"])


def _semver() -> None:
    op.create_table(
        "lockgate_signatures",
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="lockgate_signatures_pk"),
    )
    op.create_table(
        "lockgate_semver",
        sa.Column("model_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("major", sa.Integer()),
        sa.Column("minor", sa.Integer()),
        sa.Column("patch", sa.Integer()),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("signature", sa.String(length=80)),
        sa.Column("mlmodel", sa.String(length=80), nullable=False),
        sa.Column("compared_with", sa.Integer()),
        sa.Column("because", sa.Text(), nullable=False),
        *_who("who"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_semver_model_id_fk"),
        sa.PrimaryKeyConstraint("model_id", "version", name="lockgate_semver_pk"),
    )
    op.create_index(
        "lockgate_semver_number",
        "lockgate_semver",
        ["model_id", "major", "minor", "patch"],
        unique=True,
        sqlite_where=_NUMBERED,
        postgresql_where=_NUMBERED,
    )


def _who(column: str) -> tuple[sa.Column[str] | sa.Column[bool], ...]:
    return (
        sa.Column(column, sa.String(length=256), nullable=False),
        sa.Column(f"{column}_verified", sa.Boolean(), nullable=False),
        sa.Column(f"{column}_via", sa.String(length=64), nullable=False),
        sa.Column(f"{column}_kind", sa.String(length=16), server_default=sa.text("'person'"), nullable=False),
        sa.Column(f"{column}_address", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.Column(f"{column}_request", sa.String(length=128), server_default=sa.text("''"), nullable=False),
    )


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")
