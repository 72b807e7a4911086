"""The first shape of the record: every table that `tables.py` had in the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# SQLite numbers rows by itself only in a column that is exactly INTEGER
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _models()
    _versions()
    _stays()
    _artifacts()
    _promotions()
    _approval_requests()
    _approvals()
    _validations()
    _endpoints()
    _releases()
    _groups()
    _audit()
    _chains()
    _outbox()
    _policies()


def downgrade() -> None:
    raise RuntimeError("the record is not thrown away: restore a backup from before Lockgate was installed")


def _models() -> None:
    op.create_table(
        "lockgate_models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("workspace", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="lockgate_models_pk"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "lockgate_models_living_name",
        "lockgate_models",
        ["workspace", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index("lockgate_models_name", "lockgate_models", ["workspace", "name"], unique=False)


def _versions() -> None:
    op.create_table(
        "lockgate_versions",
        sa.Column("model_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("entered", sa.BigInteger(), nullable=False),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=True),
        sa.Column("pinned_at", sa.BigInteger(), nullable=True),
        sa.Column("quarantined_at", sa.BigInteger(), nullable=True),
        sa.Column("quarantine_reason", sa.Text(), nullable=True),
        sa.Column("registered_by", sa.String(length=256), nullable=False),
        sa.Column("registered_by_verified", sa.Boolean(), nullable=False),
        sa.Column("registered_by_via", sa.String(length=64), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("provenance", sa.String(length=32), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_versions_model_id_fk"),
        sa.PrimaryKeyConstraint("model_id", "version", name="lockgate_versions_pk"),
    )
    op.create_index(
        "lockgate_versions_quarantined",
        "lockgate_versions",
        ["model_id"],
        unique=False,
        sqlite_where=sa.text("quarantined_at IS NOT NULL"),
        postgresql_where=sa.text("quarantined_at IS NOT NULL"),
    )
    op.create_index("lockgate_versions_stage", "lockgate_versions", ["model_id", "stage", "entered"], unique=False)


def _stays() -> None:
    op.create_table(
        "lockgate_stays",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("entered_at", sa.BigInteger(), nullable=False),
        sa.Column("left_at", sa.BigInteger(), nullable=True),
        sa.Column("promotion", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_stays_model_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_stays_pk"),
        sqlite_autoincrement=True,
    )
    op.create_index("lockgate_stays_version", "lockgate_stays", ["model_id", "version", "entered_at"], unique=False)


def _artifacts() -> None:
    op.create_table(
        "lockgate_artifacts",
        sa.Column("model_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_artifacts_model_id_fk"),
        sa.PrimaryKeyConstraint("model_id", "version", "path", name="lockgate_artifacts_pk"),
    )


def _promotions() -> None:
    op.create_table(
        "lockgate_promotions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("lasting", sa.Boolean(), nullable=False),
        sa.Column("archive_existing", sa.Boolean(), nullable=False),
        sa.Column("asked_by", sa.String(length=256), nullable=False),
        sa.Column("asked_by_verified", sa.Boolean(), nullable=False),
        sa.Column("asked_by_via", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("plan_digest", sa.String(length=80), nullable=False),
        sa.Column("policy_digest", sa.String(length=80), nullable=False),
        sa.Column("validation", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("candidate", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("leaves", sa.Integer(), nullable=True),
        sa.Column("judgements", sa.Integer(), nullable=False),
        sa.Column("state_since", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.String(length=256), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_promotions_model_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_promotions_pk"),
    )
    op.create_index("lockgate_promotions_asked", "lockgate_promotions", ["asked_at"], unique=False)
    op.create_index(
        "lockgate_promotions_due",
        "lockgate_promotions",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("lockgate_promotions_model", "lockgate_promotions", ["model_id", "asked_at"], unique=False)
    op.create_index(
        "lockgate_promotions_open",
        "lockgate_promotions",
        ["model_id", "version", "stage"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def _approval_requests() -> None:
    op.create_table(
        "lockgate_approval_requests",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("asked_by", sa.String(length=256), nullable=False),
        sa.Column("asked_by_verified", sa.Boolean(), nullable=False),
        sa.Column("asked_by_via", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("plan_digest", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_approval_requests_model_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_approval_requests_pk"),
    )
    op.create_index(
        "lockgate_approval_requests_model", "lockgate_approval_requests", ["model_id", "asked_at"], unique=False
    )
    op.create_index(
        "lockgate_approval_requests_pending",
        "lockgate_approval_requests",
        ["asked_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "lockgate_approval_requests_version",
        "lockgate_approval_requests",
        ["model_id", "version", "stage", "asked_at"],
        unique=False,
    )


def _approvals() -> None:
    op.create_table(
        "lockgate_approvals",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("who", sa.String(length=256), nullable=False),
        sa.Column("who_verified", sa.Boolean(), nullable=False),
        sa.Column("who_via", sa.String(length=64), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("plan_digest", sa.String(length=80), nullable=False),
        sa.ForeignKeyConstraint(["request"], ["lockgate_approval_requests.id"], name="lockgate_approvals_request_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_approvals_pk"),
        sqlite_autoincrement=True,
    )
    op.create_index("lockgate_approvals_request_ix", "lockgate_approvals", ["request"], unique=False)


def _validations() -> None:
    op.create_table(
        "lockgate_validations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("asked_by", sa.String(length=256), nullable=False),
        sa.Column("asked_by_verified", sa.Boolean(), nullable=False),
        sa.Column("asked_by_via", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("trigger", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=True),
        sa.Column("examination", sa.Text(), nullable=True),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_owner", sa.String(length=256), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_validations_model_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_validations_pk"),
    )
    op.create_index("lockgate_validations_model", "lockgate_validations", ["model_id", "asked_at"], unique=False)
    op.create_index(
        "lockgate_validations_open",
        "lockgate_validations",
        ["model_id", "version"],
        unique=True,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "lockgate_validations_queue",
        "lockgate_validations",
        ["asked_at"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "lockgate_validations_version", "lockgate_validations", ["model_id", "version", "finished_at"], unique=False
    )


def _endpoints() -> None:
    op.create_table(
        "lockgate_endpoints",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=True),
        sa.Column("release", sa.String(length=64), nullable=True),
        sa.Column("candidate", sa.String(length=64), nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("differs", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_endpoints_model_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_endpoints_pk"),
    )
    op.create_index(
        "lockgate_endpoints_living",
        "lockgate_endpoints",
        ["model_id", "environment"],
        unique=True,
        sqlite_where=sa.text("state != 'retired'"),
        postgresql_where=sa.text("state != 'retired'"),
    )


def _releases() -> None:
    op.create_table(
        "lockgate_releases",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("engine", sa.String(length=32), nullable=False),
        sa.Column("promotion", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("baked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["endpoint"], ["lockgate_endpoints.id"], name="lockgate_releases_endpoint_fk"),
        sa.ForeignKeyConstraint(["model_id"], ["lockgate_models.id"], name="lockgate_releases_model_id_fk"),
        sa.PrimaryKeyConstraint("id", name="lockgate_releases_pk"),
    )
    op.create_index("lockgate_releases_endpoint", "lockgate_releases", ["endpoint", "created_at"], unique=False)


def _groups() -> None:
    op.create_table(
        "lockgate_groups",
        sa.Column("agent", sa.String(length=256), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("pids", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("agent", "endpoint", "release", name="lockgate_groups_pk"),
    )
    op.create_index("lockgate_groups_endpoint", "lockgate_groups", ["endpoint"], unique=False)
    op.create_index("lockgate_groups_release", "lockgate_groups", ["release"], unique=False)


def _audit() -> None:
    op.create_table(
        "lockgate_audit",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=80), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="lockgate_audit_pk"),
        sa.UniqueConstraint("chain", "number", name="lockgate_audit_chain_number_uq"),
        sqlite_autoincrement=True,
    )
    op.create_index("lockgate_audit_action", "lockgate_audit", ["action", "id"], unique=False)
    op.create_index("lockgate_audit_at", "lockgate_audit", ["at"], unique=False)
    op.create_index("lockgate_audit_model", "lockgate_audit", ["model", "id"], unique=False)


def _chains() -> None:
    op.create_table(
        "lockgate_chains",
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("chain", name="lockgate_chains_pk"),
    )
    # the head of the chain of what belongs to no model
    op.execute("INSERT INTO lockgate_chains (chain, number, hash) VALUES ('system', 0, 'sha256:" + "0" * 64 + "')")


def _outbox() -> None:
    op.create_table(
        "lockgate_outbox",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("topic", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="lockgate_outbox_pk"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "lockgate_outbox_due",
        "lockgate_outbox",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("delivered_at IS NULL"),
        postgresql_where=sa.text("delivered_at IS NULL"),
    )


def _policies() -> None:
    op.create_table(
        "lockgate_policies",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("applied_by", sa.String(length=256), nullable=False),
        sa.Column("applied_by_verified", sa.Boolean(), nullable=False),
        sa.Column("applied_by_via", sa.String(length=64), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="lockgate_policies_pk"),
        sqlite_autoincrement=True,
    )
