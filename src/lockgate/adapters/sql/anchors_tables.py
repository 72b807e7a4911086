"""The table of the places outside that checkpoints are written to."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text, text

from lockgate.adapters.sql.tables import Instant, metadata

# one row for each place, told by its address without a password; `size` is the checkpoint that it holds
anchors = Table(
    "lockgate_anchors",
    metadata,
    Column("place", String(500), primary_key=True),
    Column("size", BigInteger, nullable=False, server_default=text("0")),
    Column("anchored_at", Instant),
    Column("attempted_at", Instant),
    Column("due_at", Instant, nullable=False),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("error", Text, nullable=False, server_default=text("''")),
    Column("seen_at", Instant, nullable=False),
)
