"""The tables of semantic versions. Which versions are still to be looked at stands in their own rows (`semver_due`)."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from lockgate.adapters.sql.tables import Instant, _origin, _who, metadata

# what stands in `semver_due` of a version just registered, and of one that was there before us: those come last
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
BACKLOG = datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)

# most versions of a model have the same
signatures = Table(
    "lockgate_signatures",
    metadata,
    Column("digest", String(80), primary_key=True),
    Column("text", Text, nullable=False),
)

semver = Table(
    "lockgate_semver",
    metadata,
    Column("model_id", Integer, ForeignKey("lockgate_models.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    # all three or none: none while it has no number yet
    Column("major", Integer),
    Column("minor", Integer),
    Column("patch", Integer),
    Column("origin", String(16), nullable=False),
    Column("signature", String(80)),
    Column("mlmodel", String(80), nullable=False),
    Column("compared_with", Integer),
    Column("because", Text, nullable=False),
    *_who("who"),
    *_origin("who"),
    Column("at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
)
NUMBERED = semver.c.major.is_not(None)
# a number is given once in a model, and stays with a version that was deleted
Index(
    "lockgate_semver_number",
    semver.c.model_id,
    semver.c.major,
    semver.c.minor,
    semver.c.patch,
    unique=True,
    sqlite_where=NUMBERED,
    postgresql_where=NUMBERED,
)
