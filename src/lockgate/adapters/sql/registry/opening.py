"""Opens a database for the registry's reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from lockgate.adapters.sql.registry.sqlite import SqliteReader

if TYPE_CHECKING:
    from lockgate.adapters.sql.registry.postgresql import PostgresqlReader


def open_reader(uri: str) -> SqliteReader | PostgresqlReader:
    """A reader of the database at `uri`, which `make_engine` has opened before. Connects when it is first asked."""
    url = make_url(uri)
    if url.get_backend_name() == "sqlite":
        return SqliteReader(Path(url.database or "").absolute())
    # its driver is no small thing to hold for a process that speaks to SQLite
    from lockgate.adapters.sql.registry.postgresql import PostgresqlReader

    return PostgresqlReader(url)
