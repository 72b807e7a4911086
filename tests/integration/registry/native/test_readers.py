"""Reads go on where a database can be read, and say so where it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import pytest
from sqlalchemy import text

from lockgate.adapters.sql.registry import sqlite as sqlite_reader
from lockgate.adapters.sql.registry.opening import open_reader
from lockgate.adapters.sql.registry.reads import Query
from lockgate.domain.errors import Unavailable
from tests.databases.backends import Database, on_postgresql, on_sqlite
from tests.integration.registry.native.content import Pair, fill

T = TypeVar("T")


def _in_a_loop(reader: Any, work: Callable[[], Awaitable[T]]) -> T:
    """Run it, and close the reader in the loop that its connections belong to."""

    async def closed_after() -> T:
        try:
            return await work()
        finally:
            reader.close()

    return asyncio.run(closed_after())


def test_reads_beside_each_other_get_their_own_answers(filled: Pair) -> None:
    reader = filled.ours.reader
    expected = list(filled.ours.search_model_versions(max_results=60))

    async def all_at_once() -> list[Any]:
        steps = [reader.reads.version("default", row.name, row.version) for row in expected]
        return await asyncio.gather(*(reader.answer(each) for each in steps))

    found = _in_a_loop(reader, all_at_once)
    assert [(row.name, row.version) for row in found] == [(row.name, row.version) for row in expected]


def test_a_read_sees_what_was_committed_before_it(filled: Pair) -> None:
    reader = filled.ours.reader

    async def before_and_after() -> list[str | None]:
        seen = []
        for description in ("first", "second"):
            with filled.database.engine.begin() as connection:
                said = {"said": description}
                connection.execute(text("UPDATE registered_models SET description = :said WHERE name = 'fraud'"), said)
            row = await reader.answer(reader.reads.model("default", "fraud"))
            seen.append(row.description if row else None)
        return seen

    assert _in_a_loop(reader, before_and_after) == ["first", "second"]


@on_postgresql
def test_a_read_is_repeated_when_the_database_has_ended_its_connections(filled: Pair) -> None:
    reader = filled.ours.reader
    killed = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    async def across_it() -> list[bool]:
        seen = []
        for _ in range(2):
            several = [reader.answer(reader.reads.exists("default", "fraud")) for _ in range(4)]
            seen += await asyncio.gather(*several)
            seen.append(reader.run(reader.reads.exists("default", "fraud")))
            with filled.database.engine.begin() as connection:
                connection.execute(killed)
        return seen

    assert _in_a_loop(reader, across_it) == [True] * 10


@on_postgresql
def test_a_question_that_postgresql_refuses_does_not_spoil_the_connection(filled: Pair) -> None:
    reader = filled.ours.reader
    good = next(reader.reads.exists("default", "fraud"))
    bad = Query(good.statement.__class__("SELECT 1 / (1 - 1)", (), {}, (True,)), {})

    async def one_after_the_other() -> bool:
        import psycopg

        def broken() -> Any:
            return (yield bad)

        with pytest.raises(psycopg.errors.DivisionByZero):
            await reader.answer(broken())
        return bool(await reader.answer(reader.reads.exists("default", "fraud")))

    assert _in_a_loop(reader, one_after_the_other)


def test_a_database_that_is_away_is_said_to_be(tmp_path: Any) -> None:
    for uri in ("postgresql://nobody@127.0.0.1:1/none", f"sqlite:///{tmp_path}/none/none.db"):
        reader = open_reader(uri)
        with pytest.raises(Unavailable):
            reader.run(reader.reads.exists("default", "fraud"))
        with pytest.raises(Unavailable):
            _in_a_loop(reader, partial(reader.answer, reader.reads.exists("default", "fraud")))


@on_sqlite
def test_a_writer_that_has_the_file_does_not_stop_the_event_loop(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was adopted keeps its journal, and without a write-ahead log a writer keeps readers out."""
    with contextlib.closing(sqlite3.connect(database.path)) as adopted:
        assert adopted.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    fill(database.engine)
    reader = open_reader(database.uri)
    writer = sqlite3.connect(database.path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")

    async def beside_it() -> bool:
        reading = asyncio.create_task(reader.answer(reader.reads.exists("default", "fraud")))
        # the loop goes on while the read waits in its thread for the writer to be done
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not reading.done()
        writer.execute("COMMIT")
        return await reading

    try:
        assert _in_a_loop(reader, beside_it)
        writer.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(sqlite_reader, "BUSY_SECONDS", 0.05)
        with pytest.raises(Unavailable, match="busy"):
            reader.run(reader.reads.exists("default", "fraud"))
    finally:
        writer.close()
        reader.close()
