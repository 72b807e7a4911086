"""A PostgreSQL that is away, refuses, stops or is busy is told in words, and what comes back is used again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from lockgate.adapters.sql import engine as engines
from lockgate.adapters.sql.engine import make_engine
from lockgate.adapters.sql.schema import prepare
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.errors import BadInput, Unavailable
from tests.contracts.makers import Parser, entry
from tests.databases.backends import Database, on_postgresql
from tests.databases.server import PASSWORD, USER, Server, server


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that these tests may stop, and that keeps what it has committed, which the others of a run need not."""
    with server() as made:
        with psycopg.connect(made.uri(), autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {USER} SET synchronous_commit = on")
        yield made


def answer(uri: str) -> Unavailable:
    """What is told when that database is asked for anything."""
    engine = make_engine(uri)
    with pytest.raises(Unavailable) as told:
        prepare(engine)
    engine.dispose()
    return told.value


@pytest.mark.parametrize(
    ("address", "message", "hint"),
    [
        (lambda own: own.uri(password="wr:ng"), "does not accept the user or the password", "%40"),
        (lambda own: own.uri(user="nobody"), "does not accept the user or the password", "--database"),
        (lambda own: f"postgresql://lockgate@127.0.0.1:{own.port}/postgres", "wants a password", "USER:PASSWORD"),
        (lambda own: own.uri("nowhere"), "no such database", "createdb"),
        (lambda own: own.uri().replace(f":{own.port}/", ":1/"), "Nothing answers", "runs"),
        (lambda own: "postgresql://me:secret@nowhere.invalid/x", "no address", "name"),
        (lambda own: own.uri() + "?sslmode=require", "does not speak TLS", "sslmode"),
        (lambda own: own.uri() + "?nonsense=1", "an option that PostgreSQL does not know", "follows"),
    ],
)
def test_what_is_wrong_with_an_address_is_told_without_its_password(
    own: Server, address: Callable[[Server], str], message: str, hint: str
) -> None:
    told = answer(address(own))

    assert message in told.message
    assert hint in told.hint
    assert all(secret not in f"{told}{told.__cause__}" for secret in (PASSWORD, "secret", "wr:ng", "s3cret"))


@pytest.mark.parametrize(
    "uri", ["postgresql://me:secret@host:port/x", "mysql://me:secret@host/x", "postgresql//me:secret@x"]
)
def test_an_address_that_cannot_be_read_is_told_without_its_password(uri: str) -> None:
    with pytest.raises(BadInput) as told:
        make_engine(uri)

    assert "secret" not in str(told.value) or "://" not in uri


def test_a_server_that_takes_no_more_connections_is_told(own: Server) -> None:
    with psycopg.connect(own.uri(), autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'x' CONNECTION LIMIT 0")

    assert "no more connections" in answer(own.uri(user="guest", password="x")).message


def test_a_user_without_rights_is_told(own: Server) -> None:
    with psycopg.connect(own.uri(), autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'x'")
        connection.execute("CREATE DATABASE closed")
    with psycopg.connect(own.uri("closed"), autocommit=True) as connection:
        connection.execute("REVOKE ALL ON SCHEMA public FROM public")

    told = answer(own.uri("closed", user="reader", password="x"))
    assert "refuses this to the user" in told.message
    assert "Grant" in told.hint


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_a_server_that_stops_is_told_and_the_store_goes_on_when_it_is_back(
    own: Server, parser: Parser, how: signal.Signals
) -> None:
    store = SqlStore(make_engine(own.uri()), parser)
    prepare(store.engine)

    def write_while_it_stops() -> None:
        with store.writing(None) as work:
            work.record.write(entry("lost", ""))
            own.stop(how)
            work.record.write(entry("lost", ""))

    try:
        with store.writing(None) as work:
            work.record.write(entry("kept", ""))
        with pytest.raises(Unavailable) as told:
            write_while_it_stops()
        assert told.value.hint
        with pytest.raises(Unavailable, match="Nothing answers"), store.reading() as work:
            work.record.read()
    finally:
        own.start()
    with store.writing(None) as work:
        assert {x.plain["action"] for x in work.record.read()} == {"kept"}
        assert work.record.verify()[1] == []
    store.engine.dispose()


@on_postgresql
def test_a_session_that_the_server_ended_is_replaced_unnoticed(store: SqlStore, database: Database) -> None:
    with store.reading() as work:
        work.record.read()
    with psycopg.connect(database.uri, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database()"
        )

    with store.writing(None) as work:
        work.record.write(entry("kept", ""))


@on_postgresql
def test_a_connection_is_asked_whether_it_stands_after_a_rest_and_not_before_each_use(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[object]()
    plain = store.engine.dialect.do_ping

    def ask(driver: Any) -> bool:
        asked.append(driver)
        return plain(driver)

    monkeypatch.setattr(store.engine.dialect, "do_ping", ask)
    for _ in range(3):
        with store.writing(None) as work:
            work.record.write(entry("kept", ""))
    assert asked == []
    monkeypatch.setattr(engines, "RESTED_SECONDS", 0)
    with store.writing(None) as work:
        work.record.write(entry("kept", ""))
    assert len(asked) == 1


@on_postgresql
def test_a_row_that_stays_held_is_told_and_nothing_raw_surfaces(
    store: SqlStore, database: Database, fraud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.05)
    store.engine.dispose()  # new connections wait as long as the line above says
    with psycopg.connect(database.uri) as other:
        other.execute("SELECT 1 FROM registered_models FOR UPDATE")
        with pytest.raises(Unavailable, match="busy") as told, store.writing(fraud):
            pass
        other.rollback()

    assert told.value.hint
    with store.writing(fraud) as work:
        work.record.write(entry())


@on_postgresql
def test_a_process_that_stands_still_does_not_hold_its_rows_for_ever(
    store: SqlStore, database: Database, fraud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "IDLE_SECONDS", 0.2)
    store.engine.dispose()

    def stand_still() -> None:
        with store.writing(fraud) as work:
            work.record.write(entry("lost"))
            with psycopg.connect(database.uri) as other:
                other.execute("SELECT 1 FROM registered_models FOR UPDATE")  # as soon as nobody holds it
            work.record.write(entry("lost"))

    with pytest.raises(Unavailable, match=r"nothing happened|broke"):
        stand_still()
    with store.reading() as work:
        assert work.record.read() == []


@on_postgresql
def test_a_reader_holds_up_no_writer(store: SqlStore, fraud: str) -> None:
    with store.reading() as before:
        assert before.versions.of_model(fraud)
        with store.writing(fraud) as work:
            work.record.write(entry())
        assert before.record.read() == []


@on_postgresql
def test_leases_are_measured_with_the_servers_time(database: Database, parser: Parser) -> None:
    store = SqlStore(database.engine, parser)
    with store.changing() as work:
        ours, theirs = (
            store.now(work.connection),
            work.connection.execute(text("SELECT clock_timestamp()")).scalar_one(),
        )

    assert abs((ours - theirs).total_seconds()) < 5
    assert ours.tzinfo is not None
    assert abs(time.time() - ours.timestamp()) < 3600
