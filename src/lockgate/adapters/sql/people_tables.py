"""The tables of people: who there is, what they were given, their tokens, and the logins that failed lately.

They belong to no workspace: a name is the same everybody's name in all of them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from lockgate.adapters.sql.tables import Instant, metadata

_SERIAL = BigInteger().with_variant(Integer(), "sqlite")


def _person_id() -> Column[int]:
    return Column("person_id", Integer, ForeignKey("lockgate_people.id"), nullable=False)


# `look` is the name as far as people can tell two apart: without case, and without what nobody sees
people = Table(
    "lockgate_people",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("look", Text, nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("password", Text),
    Column("must_change", Boolean, nullable=False),
    Column("password_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("disabled_at", Instant),
    sqlite_autoincrement=True,
)

grants = Table(
    "lockgate_grants",
    metadata,
    Column("person_id", Integer, ForeignKey("lockgate_people.id"), primary_key=True, autoincrement=False),
    Column("role", String(20), primary_key=True),
    Column("pattern", String(256), primary_key=True),
    Column("granted_at", Instant, nullable=False),
    Column("granted_by", String(256), nullable=False),
)

# `digest` is the SHA-256 of the secret, which is kept nowhere
tokens = Table(
    "lockgate_tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    _person_id(),
    Column("digest", String(80), nullable=False, unique=True),
    Column("label", String(200), nullable=False),
    Column("roles", String(200), nullable=False),
    Column("pattern", String(256), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("revoked_at", Instant),
)
Index("lockgate_tokens_person", tokens.c.person_id, tokens.c.created_at)

# `name` is a digest: people type their password where the name belongs
failed_logins = Table(
    "lockgate_failed_logins",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("name", String(80), nullable=False),
    Column("address", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_autoincrement=True,
)
Index("lockgate_failed_logins_name", failed_logins.c.name, failed_logins.c.at)
Index("lockgate_failed_logins_address", failed_logins.c.address, failed_logins.c.at)
