"""Run by Alembic: migrates on the connection it is handed, inside the transaction that is open there."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from lockgate.adapters.sql.tables import PREFIX, VERSION_TABLE, metadata


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or (name or "").startswith(PREFIX)


connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=_is_ours,
    # SQLite alters a table by copying it
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
