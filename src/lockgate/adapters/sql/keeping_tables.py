"""The tables of how the record is kept: for how long texts stay, and which models are held."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from lockgate.adapters.sql.tables import _SERIAL, Instant, _who, metadata

# the newest is in force; `seconds` NULL is for ever
retention = Table(
    "lockgate_retention",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("seconds", BigInteger),
    *_who("set_by"),
    Column("set_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_autoincrement=True,
)

holds = Table(
    "lockgate_holds",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("model_id", Integer, ForeignKey("lockgate_models.id"), nullable=False),
    Column("reason", Text, nullable=False),
    *_who("added_by"),
    Column("added_at", Instant, nullable=False),
    Column("released_at", Instant),
)
HELD = holds.c.released_at.is_(None)
Index("lockgate_holds_model", holds.c.model_id, sqlite_where=HELD, postgresql_where=HELD)
