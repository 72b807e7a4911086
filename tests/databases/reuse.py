"""Databases of PostgreSQL that one test after the other uses: emptying one takes a tenth of making one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import psycopg
from psycopg import sql

from tests.databases.postgres import Postgres
from tests.databases.templates import Template

# changes when a table, column or index is added or dropped
_SHAPE = "SELECT count(*), max(oid::bigint), (SELECT count(*) FROM pg_attribute) FROM pg_class"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
_SEQUENCES = "SELECT sequencename, start_value FROM pg_sequences WHERE schemaname = 'public'"
_OTHERS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class _Fresh:
    """What a database holds when it is new, and the statements that empty it."""

    shape: tuple[object, ...] | None
    rows: dict[str, bytes]
    emptied: sql.Composed


class Shelf:
    """Lends databases as a template makes them, and takes them back."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._free: dict[Template, list[str]] = defaultdict(list)
        self._fresh: dict[str, _Fresh] = {}

    def lend(self, template: Template) -> str:
        """The URI of a database that is as if it were new."""
        if self._free[template]:
            return self._free[template].pop()
        uri = self._server.fresh(template)
        with psycopg.connect(uri) as connection:
            self._fresh[uri] = _seen(connection)
        return uri

    def take_back(self, uri: str, template: Template) -> None:
        """End everybody's session and bring it back to what it was; one with another schema is dropped instead."""
        fresh = self._fresh[uri]
        with psycopg.connect(uri) as connection:
            connection.execute(_OTHERS)
            as_it_was = connection.execute(_SHAPE).fetchone() == fresh.shape
            if as_it_was:
                connection.execute(fresh.emptied)
                for table, rows in fresh.rows.items():
                    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
                        copy.write(rows)
        if as_it_was:
            self._free[template].append(uri)
        else:
            self._server.drop(uri)


def _seen(connection: psycopg.Connection) -> _Fresh:
    tables = [str(name) for (name,) in connection.execute(_TABLES).fetchall()]
    parts: list[sql.Composable] = [sql.SQL("SET LOCAL session_replication_role = replica")]
    rows = {}
    for table in tables:
        parts.append(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
            held = b"".join(bytes(part) for part in copy)
        if held:
            rows[table] = held
    for name, start in connection.execute(_SEQUENCES).fetchall():
        parts.append(sql.SQL("SELECT setval({}, {}, false)").format(sql.Literal(f'public."{name}"'), start))
    return _Fresh(connection.execute(_SHAPE).fetchone(), rows, sql.SQL(";").join(parts))
