"""The table of what verdicts were based on."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from lockgate.adapters.sql.tables import Instant, metadata

# by digest, which says what the text must be: who changes it is found out, by the record that names the digest
evidence = Table(
    "lockgate_evidence",
    metadata,
    Column("digest", String(80), primary_key=True),
    Column("text", Text, nullable=False),
    Column("kept_at", Instant, nullable=False, index=True),
)
