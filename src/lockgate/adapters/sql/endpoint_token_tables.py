"""The table of the tokens that let callers ask an endpoint for predictions."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from lockgate.adapters.sql.tables import Instant, metadata

# `digest` is the SHA-256 of the secret, which is kept nowhere. They belong to model and environment: an endpoint that
# was retired and comes again takes the same ones
endpoint_tokens = Table(
    "lockgate_endpoint_tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("model_id", Integer, ForeignKey("lockgate_models.id"), nullable=False),
    Column("environment", String(64), nullable=False),
    Column("digest", String(80), nullable=False, unique=True),
    Column("label", String(200), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("revoked_at", Instant),
)
Index("lockgate_endpoint_tokens_model", endpoint_tokens.c.model_id, endpoint_tokens.c.environment)
