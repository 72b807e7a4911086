"""The table of what was measured of versions' engines."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text, text

from lockgate.adapters.sql.tables import Instant, _lease, _model_id, _origin, _who, metadata

measurements = Table(
    "lockgate_measurements",
    metadata,
    Column("id", String(64), primary_key=True),
    _model_id(),
    Column("version", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    *_who("asked_by"),
    *_origin("asked_by"),
    Column("asked_at", Instant, nullable=False),
    Column("digest", String(80)),
    Column("figures", Text, nullable=False, server_default=text("'[]'")),
    Column("converted", String(80), nullable=False, server_default=text("''")),
    Column("because", Text, nullable=False),
    Column("finished_at", Instant),
    *_lease(),
)
OPEN_MEASUREMENT = measurements.c.finished_at.is_(None)
Index(
    "lockgate_measurements_open",
    measurements.c.model_id,
    measurements.c.version,
    unique=True,
    sqlite_where=OPEN_MEASUREMENT,
    postgresql_where=OPEN_MEASUREMENT,
)
Index(
    "lockgate_measurements_queue",
    measurements.c.asked_at,
    sqlite_where=OPEN_MEASUREMENT,
    postgresql_where=OPEN_MEASUREMENT,
)
Index("lockgate_measurements_version", measurements.c.model_id, measurements.c.version, measurements.c.finished_at)
