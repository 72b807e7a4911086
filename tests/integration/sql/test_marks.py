"""A loop that found nothing to do asks for less, and misses nothing that is committed or that falls due."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event

from lockgate.adapters.sql.ledger import SqlAgentLedger
from lockgate.adapters.sql.marks import LONGEST_SECONDS, SHARED_SECONDS, Marks, Rest
from lockgate.adapters.sql.policies import ParsePolicy
from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.semver_queue import SqlNumbering
from lockgate.adapters.sql.sequencing import SqlSequencing
from lockgate.adapters.sql.store import SqlStore
from tests.contracts.makers import entry, promotion
from tests.databases.backends import on_sqlite

LEASE = timedelta(seconds=30)
LIMIT = 30.0


@pytest.fixture
def store(engine: Engine, parser: ParsePolicy) -> SqlStore:
    """As in the contracts, with real time: where time is an argument nothing rests."""
    return SqlStore(engine, parser)


def until(answer: Callable[[], Any]) -> Any:
    end = time.monotonic() + LIMIT
    while not (found := answer()):
        assert time.monotonic() < end, "nothing was found"
        time.sleep(0.005)
    return found


@contextmanager
def asked(engine: Engine) -> Iterator[list[str]]:
    """The statements that the pool's connections were asked meanwhile, without those that ask for a mark."""
    told: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "pg_current_snapshot" not in statement:
            told.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield told
    finally:
        event.remove(engine, "before_cursor_execute", note)


def write(store: SqlStore) -> None:
    with store.writing(None) as work:
        work.record.write(entry(model=""))


def test_a_mark_changes_with_a_commit_and_with_nothing_else(store: SqlStore) -> None:
    marks = Marks(store.engine)
    before = marks.now()
    with store.reading() as work:
        work.policies.in_force()
    time.sleep(SHARED_SECONDS)
    assert marks.now() == before or store.engine.dialect.name == "postgresql"  # its other databases count too

    write(store)

    until(lambda: marks.now() != before)


@on_sqlite
def test_marks_of_a_database_that_does_not_answer_equal_no_other(store: SqlStore, tmp_path: Path) -> None:
    marks = Marks(create_engine(f"sqlite:///{tmp_path / 'nothing'}"))

    assert marks.now() != marks.now()
    assert not (tmp_path / "nothing").exists()


def test_a_rest_ends_with_its_time_with_a_change_and_when_it_is_told_to() -> None:
    now, mark = [0.0], [1]

    class Fixed(Marks):
        def __init__(self) -> None:
            pass

        def now(self) -> object:
            return mark[0]

    rest = Rest(Fixed(), clock=lambda: now[0])
    assert not rest.holds()

    rest.begin(rest.mark(), seconds=100)
    assert rest.holds()
    now[0] += LONGEST_SECONDS
    assert not rest.holds()

    rest.begin(rest.mark(), seconds=0.5)
    assert rest.holds()
    mark[0] += 1
    assert not rest.holds()

    rest.begin(rest.mark())
    rest.end()
    assert not rest.holds()
    assert not Rest(None, clock=lambda: now[0]).holds()


def test_what_finds_nothing_is_asked_for_once_until_something_is_committed(store: SqlStore, fraud: str) -> None:
    while SqlNumbering(store).claim(LEASE, 10) is not None:
        pass
    queue, numbering, sequencing = SqlQueue(store), SqlNumbering(store), SqlSequencing(store)
    ledger = SqlAgentLedger(store, agent="here")
    looks: list[Callable[[], Any]] = [
        lambda: queue.claim_promotion("me", LEASE),
        lambda: queue.claim_validation("me", LEASE),
        lambda: ledger.desired(),
    ]
    for look in [*looks, lambda: numbering.claim(LEASE, 10)]:
        with asked(store.engine) as first:
            assert not look()
        began = time.monotonic()
        with asked(store.engine) as then:
            assert not look()
        assert first
        # on PostgreSQL whatever else is written on that server is a change
        quick = time.monotonic() - began < 0.5 and store.engine.dialect.name == "sqlite"
        assert not then or not quick
    write(store)
    until(lambda: sequencing.waits(thorough=True))


def test_what_is_added_after_nothing_was_found_is_found(store: SqlStore, fraud: str) -> None:
    queue = SqlQueue(store)
    for number in range(3):
        assert queue.claim_promotion("me", LEASE) is None
        with store.writing("fraud") as work:
            work.promotions.add(promotion(f"prm-{number}"), due_at=datetime.now(UTC))

        taken, _ = until(lambda: queue.claim_promotion("me", LEASE))

        assert taken.id == f"prm-{number}"
        with store.writing("fraud") as work:
            work.promotions.close(taken.id, taken.state.CANCELLED, "over", datetime.now(UTC))


def test_what_is_due_later_is_found_without_another_change(store: SqlStore, fraud: str) -> None:
    queue = SqlQueue(store)
    due = datetime.now(UTC) + timedelta(seconds=0.3)
    with store.writing("fraud") as work:
        work.promotions.add(promotion("prm-1"), due_at=due)
    assert queue.claim_promotion("me", LEASE) is None

    taken, claim = until(lambda: queue.claim_promotion("me", timedelta(seconds=0.2)))
    assert (taken.id, claim.fence) == ("prm-1", 1)
    assert datetime.now(UTC) >= due or store.engine.dialect.name == "postgresql"

    again, _ = until(lambda: queue.claim_promotion("another", LEASE))
    assert again.id == "prm-1"
