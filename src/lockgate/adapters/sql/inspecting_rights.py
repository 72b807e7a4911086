"""What Lockgate's user may not do on a database and has to, each with the command that allows it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, Connection, text

from lockgate.adapters.sql.dialects import is_sqlite
from lockgate.usecases.doctor import Ours, Schema, State

# the tables that get an index of ours: only their owner may add one
INDEXED = ("registered_models", "model_versions", "registered_model_aliases")
_WRITTEN = (*INDEXED, "registered_model_tags", "model_version_tags")


def lacks(connection: Connection, url: URL, schema: Schema, ours: Ours) -> tuple[tuple[str, str], ...]:
    """Each missing permission in a sentence, with its cure; none when Lockgate can work here."""
    if is_sqlite(connection):
        return tuple(_lacks_on_disk(Path(url.database or "").absolute()))
    return tuple(_lacks_on_postgresql(connection, schema, ours))


def _lacks_on_disk(path: Path) -> Iterator[tuple[str, str]]:
    if not os.access(path, os.W_OK):
        yield f"The database file {path} may not be written.", f"chmod u+w {path}, as its owner"
    if not os.access(path.parent, os.W_OK):
        yield (
            f"The folder {path.parent} may not be written, and SQLite keeps its journal there.",
            f"chmod u+w {path.parent}",
        )


def _lacks_on_postgresql(connection: Connection, schema: Schema, ours: Ours) -> Iterator[tuple[str, str]]:
    told = connection.execute(
        text(
            "SELECT current_user, current_schema(), pg_is_in_recovery(),"
            " has_schema_privilege(current_user, current_schema(), 'CREATE')"
        )
    ).one()
    user, place, standby, may_create = told
    quoted = connection.dialect.identifier_preparer.quote
    if standby:
        yield "This PostgreSQL is a standby and takes no writes.", "Name the primary with --database."
        return
    if place is None:
        yield "No schema of the search path exists.", "Look at search_path of the database and the user."
        return
    if not may_create and (ours.adds_tables or schema.state is State.ABSENT):
        yield (
            f"{user} may not create tables in the schema {place}.",
            f"GRANT CREATE ON SCHEMA {quoted(place)} TO {quoted(user)};",
        )
    if schema.state is not State.KNOWN:
        return
    owned = text("SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass(:name)")
    strange = [name for name in INDEXED if not connection.execute(owned, {"name": name}).scalar()]
    if strange and ours.adds_indexes:
        yield (
            f"{user} does not own {', '.join(strange)}, and only an owner may add indexes.",
            f"ALTER TABLE {quoted(strange[0])} OWNER TO {quoted(user)}; or start Lockgate once as the owner.",
        )
    every = text(
        "SELECT bool_and(has_table_privilege(current_user, to_regclass(:name), p)) "
        "FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p"
    )
    closed = [name for name in _WRITTEN if not connection.execute(every, {"name": name}).scalar()]
    if closed:
        yield (
            f"{user} may not read and write {', '.join(closed)}.",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(closed)} TO {quoted(user)};",
        )
