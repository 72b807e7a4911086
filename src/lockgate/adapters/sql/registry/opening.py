"""Opens a database for the registry's reads."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import make_url

from lockgate.adapters.sql.registry.postgresql import PostgresqlReader
from lockgate.adapters.sql.registry.sqlite import SqliteReader


def open_reader(uri: str) -> SqliteReader | PostgresqlReader:
    """A reader of the database at `uri`, which `make_engine` has opened before. Connects when it is first asked."""
    url = make_url(uri)
    if url.get_backend_name() == "sqlite":
        return SqliteReader(Path(url.database or "").absolute())
    return PostgresqlReader(url)
