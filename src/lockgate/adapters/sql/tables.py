"""Lockgate's own tables. All hang on our own row for a model: a rename changes one row, a re-created name is a new one.

No foreign key leads to MLflow's tables: they are MLflow's to migrate.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

PREFIX = "lockgate_"
VERSION_TABLE = "lockgate_alembic_version"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A moment as whole microseconds since 1970, which every database compares alike; read back aware and in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "uq": "%(table_name)s_%(column_0_N_name)s_uq",
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
    }
)

# SQLite numbers rows by itself only in a column that is exactly INTEGER
_SERIAL = BigInteger().with_variant(Integer(), "sqlite")


def _who(column: str) -> tuple[Column[str], Column[bool], Column[str]]:
    """A caller: the name, whether it was verified, and the door it came through."""
    return (
        Column(column, String(256), nullable=False),
        Column(f"{column}_verified", Boolean, nullable=False),
        Column(f"{column}_via", String(64), nullable=False),
    )


def _origin(column: str) -> tuple[Column[str], Column[str], Column[str]]:
    """What the record tells of a caller besides: where Lockgate goes on in their name when the request is over."""
    return (
        Column(f"{column}_kind", String(16), nullable=False, server_default=text("'person'")),
        Column(f"{column}_address", String(64), nullable=False, server_default=text("''")),
        Column(f"{column}_request", String(128), nullable=False, server_default=text("''")),
    )


def _lease() -> tuple[Column[str | None], Column[datetime | None], Column[int]]:
    """Who advances the row now, until when, and how often it changed hands."""
    return (
        Column("lease_owner", String(256)),
        Column("lease_until", Instant),
        Column("fence", BigInteger, nullable=False, server_default=text("0")),
    )


def _model_id() -> Column[int]:
    return Column("model_id", Integer, ForeignKey("lockgate_models.id"), nullable=False)


models = Table(
    "lockgate_models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("workspace", String(63), nullable=False),
    Column("name", String(256), nullable=False),
    Column("deleted_at", Instant),
    sqlite_autoincrement=True,
)
LIVING_NAME = models.c.deleted_at.is_(None)
Index(
    "lockgate_models_living_name",
    models.c.workspace,
    models.c.name,
    unique=True,
    sqlite_where=LIVING_NAME,
    postgresql_where=LIVING_NAME,
)
Index("lockgate_models_name", models.c.workspace, models.c.name)

versions = Table(
    "lockgate_versions",
    metadata,
    Column("model_id", Integer, ForeignKey("lockgate_models.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("stage", String(20), nullable=False),
    Column("since", Instant, nullable=False),
    Column("entered", Instant, nullable=False),
    Column("is_primary", Boolean, nullable=False),
    Column("digest", String(80)),
    Column("pinned_at", Instant),
    Column("quarantined_at", Instant),
    Column("quarantine_reason", Text),
    *_who("registered_by"),
    Column("registered_at", Instant, nullable=False),
    Column("provenance", String(32), nullable=False),
    Column("deleted_at", Instant),
    # when its model's signature is to be looked at (next), for its semantic version; NULL when there is nothing to do
    Column("semver_due", Instant, server_default=text("0")),
)
TO_BE_NUMBERED = versions.c.semver_due.is_not(None) & versions.c.deleted_at.is_(None)
Index(
    "lockgate_versions_semver_due",
    versions.c.semver_due,
    sqlite_where=TO_BE_NUMBERED,
    postgresql_where=TO_BE_NUMBERED,
)
Index(
    "lockgate_versions_semver",
    versions.c.model_id,
    versions.c.version,
    sqlite_where=TO_BE_NUMBERED,
    postgresql_where=TO_BE_NUMBERED,
)
# many may have entered at one moment: all that were there when Lockgate came
Index("lockgate_versions_stage", versions.c.model_id, versions.c.stage, versions.c.entered, versions.c.version)
QUARANTINED = versions.c.quarantined_at.is_not(None)
# one for each stage at most, so that it is found however many versions the stage holds
Index(
    "lockgate_versions_primary",
    versions.c.model_id,
    versions.c.stage,
    sqlite_where=text("is_primary = 1"),
    postgresql_where=text("is_primary"),
)
Index("lockgate_versions_quarantined", versions.c.model_id, sqlite_where=QUARANTINED, postgresql_where=QUARANTINED)

stays = Table(
    "lockgate_stays",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    _model_id(),
    Column("version", Integer, nullable=False),
    Column("stage", String(20), nullable=False),
    Column("entered_at", Instant, nullable=False),
    Column("left_at", Instant),
    Column("promotion", String(64)),
    sqlite_autoincrement=True,
)
PRESENT = stays.c.left_at.is_(None)
Index("lockgate_stays_present", stays.c.model_id, stays.c.version, sqlite_where=PRESENT, postgresql_where=PRESENT)
Index("lockgate_stays_version", stays.c.model_id, stays.c.version, stays.c.entered_at)

artifacts = Table(
    "lockgate_artifacts",
    metadata,
    Column("model_id", Integer, ForeignKey("lockgate_models.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("path", String(1000), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
)

# compared letter by letter, so that a folder's contents are one range of the index
_PLACE = String(1000).with_variant(String(1000, collation="C"), "postgresql")

# MLflow's own names, since it is MLflow's rows that lead to the files
sources = Table(
    "lockgate_sources",
    metadata,
    Column("workspace", String(63), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("place", _PLACE, nullable=False),
)
Index("lockgate_sources_place", sources.c.place)

promotions = Table(
    "lockgate_promotions",
    metadata,
    Column("id", String(64), primary_key=True),
    _model_id(),
    Column("version", Integer, nullable=False),
    Column("stage", String(20), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("lasting", Boolean, nullable=False),
    Column("archive_existing", Boolean, nullable=False),
    *_who("asked_by"),
    *_origin("asked_by"),
    Column("reason", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("state", String(20), nullable=False),
    Column("because", Text, nullable=False),
    Column("verdict", Text),
    Column("plan_digest", String(80), nullable=False),
    Column("policy_digest", String(80), nullable=False),
    Column("evidence_digest", String(80), nullable=False, server_default=text("''")),
    Column("validation", String(64), nullable=False),
    Column("endpoint", String(64), nullable=False),
    Column("candidate", String(64), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("leaves", Integer),
    Column("judgements", Integer, nullable=False),
    Column("state_since", Instant),
    Column("closed_at", Instant),
    Column("asked_plan", String(80), nullable=False, server_default=text("''")),
    Column("due_at", Instant, nullable=False),
    *_lease(),
)
OPEN_PROMOTION = promotions.c.closed_at.is_(None)
Index(
    "lockgate_promotions_open",
    promotions.c.model_id,
    promotions.c.version,
    promotions.c.stage,
    unique=True,
    sqlite_where=OPEN_PROMOTION,
    postgresql_where=OPEN_PROMOTION,
)
Index("lockgate_promotions_due", promotions.c.due_at, sqlite_where=OPEN_PROMOTION, postgresql_where=OPEN_PROMOTION)
Index("lockgate_promotions_model", promotions.c.model_id, promotions.c.asked_at)
Index("lockgate_promotions_asked", promotions.c.asked_at)

requests = Table(
    "lockgate_approval_requests",
    metadata,
    Column("id", String(64), primary_key=True),
    _model_id(),
    Column("version", Integer, nullable=False),
    Column("stage", String(20), nullable=False),
    *_who("asked_by"),
    Column("reason", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("plan_digest", String(80), nullable=False),
    Column("state", String(20), nullable=False),
    Column("closed_because", Text, nullable=False, server_default=text("''")),
)
PENDING = requests.c.state == text("'pending'")
Index(
    "lockgate_approval_requests_version", requests.c.model_id, requests.c.version, requests.c.stage, requests.c.asked_at
)
Index("lockgate_approval_requests_model", requests.c.model_id, requests.c.asked_at)
Index("lockgate_approval_requests_pending", requests.c.asked_at, sqlite_where=PENDING, postgresql_where=PENDING)

decisions = Table(
    "lockgate_approvals",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("request", String(64), ForeignKey("lockgate_approval_requests.id"), nullable=False, index=True),
    Column("approved", Boolean, nullable=False),
    *_who("who"),
    Column("comment", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("plan_digest", String(80), nullable=False),
    Column("behalf", String(256), nullable=False, server_default=text("''")),
    Column("withdrawn_at", Instant),
    Column("withdrawn_because", Text, nullable=False, server_default=text("''")),
    sqlite_autoincrement=True,
)

validations = Table(
    "lockgate_validations",
    metadata,
    Column("id", String(64), primary_key=True),
    _model_id(),
    Column("version", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    *_who("asked_by"),
    *_origin("asked_by"),
    Column("asked_at", Instant, nullable=False),
    Column("trigger", String(32), nullable=False),
    Column("digest", String(80)),
    Column("examination", Text),
    Column("because", Text, nullable=False),
    Column("finished_at", Instant),
    *_lease(),
)
OPEN_VALIDATION = validations.c.finished_at.is_(None)
Index(
    "lockgate_validations_open",
    validations.c.model_id,
    validations.c.version,
    unique=True,
    sqlite_where=OPEN_VALIDATION,
    postgresql_where=OPEN_VALIDATION,
)
Index(
    "lockgate_validations_queue", validations.c.asked_at, sqlite_where=OPEN_VALIDATION, postgresql_where=OPEN_VALIDATION
)
Index("lockgate_validations_version", validations.c.model_id, validations.c.version, validations.c.finished_at)
Index("lockgate_validations_model", validations.c.model_id, validations.c.asked_at)

endpoints = Table(
    "lockgate_endpoints",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("environment", String(64), nullable=False),
    _model_id(),
    Column("port", Integer),
    Column("release", String(64)),
    Column("candidate", String(64)),
    Column("generation", BigInteger, nullable=False),
    Column("acknowledged", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("because", Text, nullable=False),
    # what its agent holds against it, apart from `because`, so that neither side takes the other's word back
    Column("differs", Text, nullable=False, server_default=text("''")),
    Column("created_at", Instant, nullable=False),
)
NOT_RETIRED = endpoints.c.state != text("'retired'")
Index(
    "lockgate_endpoints_living",
    endpoints.c.model_id,
    endpoints.c.environment,
    unique=True,
    sqlite_where=NOT_RETIRED,
    postgresql_where=NOT_RETIRED,
)

releases = Table(
    "lockgate_releases",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("endpoint", String(64), ForeignKey("lockgate_endpoints.id"), nullable=False),
    _model_id(),
    Column("version", Integer, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("engine", String(32), nullable=False),
    # the digest of the ONNX file that the engine asks; empty for the other engines
    Column("converted", String(80), nullable=False, server_default=text("''")),
    Column("promotion", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("baked_at", Instant),
    # when another release took its place; NULL while it serves, and for one that never did
    Column("left_at", Instant),
)
HAS_LEFT = releases.c.left_at.is_not(None)
Index("lockgate_releases_endpoint", releases.c.endpoint, releases.c.created_at)
Index("lockgate_releases_version", releases.c.endpoint, releases.c.version, releases.c.created_at)
Index("lockgate_releases_left", releases.c.left_at, sqlite_where=HAS_LEFT, postgresql_where=HAS_LEFT)

groups = Table(
    "lockgate_groups",
    metadata,
    Column("agent", String(256), primary_key=True),
    Column("endpoint", String(64), primary_key=True),
    Column("release", String(64), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("because", Text, nullable=False),
    Column("pids", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("memory", BigInteger, nullable=False, server_default=text("0")),
)
Index("lockgate_groups_endpoint", groups.c.endpoint)
Index("lockgate_groups_release", groups.c.release)

# `at`, `action`, `model` and `version` are copies of what `text` says, kept for finding it; verifying compares them.
# `pruned_at` is when the text was removed under the rule of retention: it is empty then, and its hash stays
audit = Table(
    "lockgate_audit",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("chain", String(64), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", String(80), nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("action", String(64), nullable=False),
    Column("model", String(256), nullable=False),
    Column("version", Integer),
    Column("pruned_at", Instant),
    UniqueConstraint("chain", "number"),
    sqlite_autoincrement=True,
)
Index("lockgate_audit_model", audit.c.model, audit.c.id)
Index("lockgate_audit_action", audit.c.action, audit.c.id)
Index("lockgate_audit_at", audit.c.at)

chains = Table(
    "lockgate_chains",
    metadata,
    Column("chain", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", String(80), nullable=False),
)

outbox = Table(
    "lockgate_outbox",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("topic", String(64), nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("delivered_at", Instant),
    Column("workspace", String(63), nullable=False, server_default=text("'default'")),
    sqlite_autoincrement=True,
)
UNDELIVERED = outbox.c.delivered_at.is_(None)
Index("lockgate_outbox_due", outbox.c.due_at, sqlite_where=UNDELIVERED, postgresql_where=UNDELIVERED)

# what MLflow's webhooks hear besides MLflow's own events: patterns of the record's actions
subscriptions = Table(
    "lockgate_subscriptions",
    metadata,
    Column("webhook", String(256), primary_key=True),
    Column("event", String(64), primary_key=True),
)

# an event of the outbox on its way to one webhook; `delivery` is the id its receiver sees
deliveries = Table(
    "lockgate_deliveries",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("delivery", String(36), nullable=False, unique=True),
    Column("workspace", String(63), nullable=False),
    Column("webhook", String(256), nullable=False),
    Column("event", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("attempted_at", Instant),
    Column("delivered_at", Instant),
    Column("last_status", Integer),
    Column("last_error", Text, nullable=False, server_default=text("''")),
    Column("answer", Text, nullable=False, server_default=text("''")),
    *_lease(),
    sqlite_autoincrement=True,
)
WAITING_DELIVERY = deliveries.c.state == text("'waiting'")
Index("lockgate_deliveries_webhook", deliveries.c.webhook, deliveries.c.id)
Index(
    "lockgate_deliveries_due",
    deliveries.c.webhook,
    deliveries.c.due_at,
    deliveries.c.id,
    sqlite_where=WAITING_DELIVERY,
    postgresql_where=WAITING_DELIVERY,
)
LEASED_DELIVERY = deliveries.c.lease_owner.is_not(None)
Index(
    "lockgate_deliveries_leased",
    deliveries.c.webhook,
    sqlite_where=LEASED_DELIVERY,
    postgresql_where=LEASED_DELIVERY,
)
Index("lockgate_deliveries_attempted", deliveries.c.attempted_at)

policies = Table(
    "lockgate_policies",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("digest", String(80), nullable=False, index=True),
    Column("text", Text, nullable=False),
    *_who("applied_by"),
    Column("applied_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)
