"""Many threads at once: no update is lost, nobody is told that the database is locked, and one wins where one must."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from threading import Barrier
from typing import Any

from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import AlreadyOpen
from tests.contracts.databases import Mlflow
from tests.contracts.makers import T0, entry, later, promotion
from tests.databases.backends import on_sqlite

THREADS = 16
LEASE = timedelta(seconds=30)


def at_once(do: Callable[[int], Any]) -> list[Any]:
    """What each of 16 threads gave that began at the same moment; raises what any of them raised."""
    ready = Barrier(THREADS)

    def begin(number: int) -> Any:
        ready.wait(timeout=30)
        return do(number)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(begin, range(THREADS), timeout=100))


def test_no_update_is_lost_and_every_chain_holds(
    store: SqlStore, mlflow: Mlflow, fraud: str, rounds: Callable[[int, int], int]
) -> None:
    _count_from_many_sides(store, mlflow, fraud, rounds(3, 50))


@on_sqlite
def test_nor_is_any_lost_with_the_journal_of_an_adopted_file(
    store: SqlStore, mlflow: Mlflow, fraud: str, rounds: Callable[[int, int], int]
) -> None:
    with closing(sqlite3.connect(str(store.engine.url.database))) as file:
        store.engine.dispose()
        assert file.execute("PRAGMA journal_mode = delete").fetchone() == ("delete",)
    _count_from_many_sides(store, mlflow, fraud, rounds(3, 50))


def _count_from_many_sides(store: SqlStore, mlflow: Mlflow, fraud: str, times: int) -> None:
    mlflow.model("theft")
    mlflow.version("theft", 1, tags={"count": "0"})
    one = VersionRef("theft", 1)

    def count_up(number: int) -> None:
        for _ in range(times):
            with store.writing("theft") as work:
                there = work.catalog.version(one)
                assert there is not None
                work.catalog.set_tag(one, "count", str(int(there.tags["count"]) + 1))
                work.record.write(entry(model="theft"))
            with store.writing(fraud if number % 2 else None) as work:
                work.record.write(entry(model=fraud if number % 2 else ""))
            with store.reading() as work:
                work.versions.of_model(fraud)

    at_once(count_up)
    with store.reading() as work:
        there = work.catalog.version(one)
        assert there is not None
        assert there.tags["count"] == str(THREADS * times)
        assert work.record.verify() == (2 * THREADS * times, [])


def test_a_stage_that_is_swapped_from_many_sides_holds_one_version(
    store: SqlStore, fraud: str, rounds: Callable[[int, int], int]
) -> None:
    def swap(number: int) -> None:
        for _ in range(rounds(3, 30)):
            with store.writing(fraud) as work:
                for other in work.versions.in_stage(fraud, Stage.PRODUCTION):
                    work.versions.place(other, Stage.ARCHIVED, T0, None)
                work.versions.place(VersionRef(fraud, number % 2 + 1), Stage.PRODUCTION, later(hours=1), None)

    at_once(swap)
    with store.reading() as work:
        assert len(work.versions.in_stage(fraud, Stage.PRODUCTION)) == 1


def test_of_many_that_open_the_same_promotion_one_does(store: SqlStore) -> None:
    def open_it(number: int) -> bool:
        try:
            with store.writing("fraud") as work:
                work.promotions.add(promotion(f"prm-{number}"), due_at=T0)
        except AlreadyOpen:
            return False
        return True

    assert Counter(at_once(open_it)) == {True: 1, False: THREADS - 1}


def test_of_many_that_claim_each_gets_another_promotion(store: SqlStore, queue: SqlQueue) -> None:
    with store.writing("fraud") as work:
        for number in range(1, THREADS):
            work.promotions.add(promotion(f"prm-{number}", VersionRef("fraud", number)), due_at=T0)
    claimed = at_once(lambda number: queue.claim_promotion(f"owner-{number}", LEASE))
    assert sorted(taken[1].id for taken in claimed if taken) == sorted(f"prm-{n}" for n in range(1, THREADS))
    assert claimed.count(None) == 1


def test_a_model_named_from_many_sides_at_once_has_one_row(store: SqlStore) -> None:
    def name(_: int) -> None:
        with store.writing("fraud") as work:
            work.versions.add_model("fraud")

    at_once(name)
    with store.changing() as work:
        assert work.connection.exec_driver_sql("SELECT count(*) FROM lockgate_models").scalar() == 1
