"""The tables around approvals: kept plans, stand-ins, broken glass, and policies that wait for a second person."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from lockgate.adapters.sql.tables import Instant, _model_id, _who, metadata

# the parts of a plan in their canonical form, of which the digest is made
plans = Table(
    "lockgate_plans",
    metadata,
    Column("digest", String(80), primary_key=True),
    Column("parts", Text, nullable=False),
    Column("kept_at", Instant, nullable=False),
)

delegations = Table(
    "lockgate_delegations",
    metadata,
    Column("id", String(64), primary_key=True),
    *_who("giver"),
    Column("taker", String(256), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("ended_at", Instant),
)
NOT_ENDED = delegations.c.ended_at.is_(None)
Index("lockgate_delegations_taker", delegations.c.taker, sqlite_where=NOT_ENDED, postgresql_where=NOT_ENDED)
Index("lockgate_delegations_giver", delegations.c.giver, sqlite_where=NOT_ENDED, postgresql_where=NOT_ENDED)
Index("lockgate_delegations_at", delegations.c.at)


def _who_later(column: str) -> tuple[Column[str | None], Column[bool | None], Column[str | None]]:
    """A caller who may never come."""
    return (
        Column(column, String(256)),
        Column(f"{column}_verified", Boolean),
        Column(f"{column}_via", String(64)),
    )


glasses = Table(
    "lockgate_break_glass",
    metadata,
    Column("id", String(64), primary_key=True),
    _model_id(),
    Column("version", Integer, nullable=False),
    Column("stage", String(20), nullable=False),
    *_who("asked_by"),
    Column("reason", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("artifacts", String(80), nullable=False),
    *_who_later("confirmed_by"),
    Column("confirmed_at", Instant),
    Column("promotion", String(64), nullable=False),
    Column("used_at", Instant),
    *_who_later("reviewed_by"),
    Column("reviewed_at", Instant),
    Column("review", Text, nullable=False),
    Column("overdue_noted_at", Instant),
)
UNREVIEWED = glasses.c.reviewed_at.is_(None) & glasses.c.confirmed_at.is_not(None)
Index("lockgate_break_glass_unreviewed", glasses.c.confirmed_at, sqlite_where=UNREVIEWED, postgresql_where=UNREVIEWED)
Index("lockgate_break_glass_promotion", glasses.c.promotion)
Index("lockgate_break_glass_model", glasses.c.model_id, glasses.c.asked_at)
Index("lockgate_break_glass_asked", glasses.c.asked_at)

proposals = Table(
    "lockgate_policy_proposals",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("digest", String(80), nullable=False),
    Column("text", Text, nullable=False),
    Column("before", String(80), nullable=False),
    *_who("proposed_by"),
    Column("proposed_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", String(20), nullable=False),
    *_who_later("decided_by"),
    Column("decided_at", Instant),
    Column("comment", Text, nullable=False),
)
Index("lockgate_policy_proposals_at", proposals.c.proposed_at)
