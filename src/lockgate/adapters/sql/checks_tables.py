"""The table of results that systems outside reported."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from lockgate.adapters.sql.tables import _SERIAL, Instant, _model_id, _origin, _who, metadata

checks = Table(
    "lockgate_checks",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    _model_id(),
    Column("version", Integer, nullable=False),
    Column("name", String(100), nullable=False),
    Column("passed", Boolean, nullable=False),
    *_who("who"),
    *_origin("who"),
    Column("at", Instant, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("url", Text, nullable=False),
    Column("comment", Text, nullable=False),
    sqlite_autoincrement=True,
)
# the newest of each name is the last of its range
Index("lockgate_checks_version", checks.c.model_id, checks.c.version, checks.c.name, checks.c.id)
