"""The table of the rules by which requests are divided among versions."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text

from lockgate.adapters.sql.tables import Instant, metadata

# of model and environment, as tokens are: an endpoint that was retired and comes again is divided as before
splits = Table(
    "lockgate_splits",
    metadata,
    Column("model_id", Integer, ForeignKey("lockgate_models.id"), primary_key=True, autoincrement=False),
    Column("environment", String(64), primary_key=True),
    Column("split", Text, nullable=False),
    Column("set_by", String(256), nullable=False),
    Column("set_at", Instant, nullable=False),
)
