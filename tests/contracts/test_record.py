"""What the audit log promises: every change to it is found."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import inspect, text

from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.audit import BEGINNING, SYSTEM, Break
from lockgate.domain.canonical import canonical, digest
from lockgate.domain.stages import Stage
from tests.contracts.databases import Mlflow
from tests.contracts.makers import ANN, FRAUD_1, T0, entry, later, promotion


@pytest.fixture
def written(store: SqlStore, mlflow: Mlflow) -> SqlStore:
    """Four entries about fraud, two about theft, one about nothing in particular."""
    for model in ("fraud", "theft"):
        mlflow.model(model)
    with store.writing("fraud") as work:
        for number in range(4):
            work.record.write(entry(f"act:{number}", at=later(seconds=number)))
    with store.writing("theft") as work:
        for number in range(2):
            work.record.write(entry(f"act:{number}", "theft", at=later(seconds=number)))
    with store.writing(None) as work:
        work.record.write(entry("policy:applied", ""))
    return store


def forge(store: SqlStore, *statements: str) -> None:
    """What somebody with the database file can do."""
    with store.changing() as work:
        for sql in statements:
            work.connection.exec_driver_sql(sql)


def verify(store: SqlStore) -> tuple[int, list[Break]]:
    with store.reading() as work:
        count, found = work.record.verify()
        return count, list(found)


def test_entries_are_linked_in_the_chain_of_their_model(written: SqlStore) -> None:
    with written.reading() as work:
        told = work.record.read(model="fraud")
        assert [(x.linked.chain, x.linked.number) for x in told] == [("model:1", n) for n in (4, 3, 2, 1)]
        assert [x.plain["previous"] for x in told] == [*(x.linked.hash for x in told[1:]), BEGINNING]
        assert [x.linked.chain for x in work.record.read(action="policy:applied")] == [SYSTEM]
    assert verify(written) == (7, [])


def test_entries_are_read_newest_first_and_by_model_and_action(written: SqlStore) -> None:
    with written.reading() as work:
        told = [(x.plain["model"], x.plain["action"]) for x in work.record.read(limit=3)]
        assert told == [("", "policy:applied"), ("theft", "act:1"), ("theft", "act:0")]
        told = [(x.plain["model"], x.plain["action"]) for x in work.record.read(action="act:1")]
        assert told == [("theft", "act:1"), ("fraud", "act:1")]
        assert [x.plain["action"] for x in work.record.read(model="theft", action="act:0")] == ["act:0"]
        assert work.record.read(model="nothing") == []


def test_an_entry_about_a_name_no_model_ever_bore_is_the_systems(store: SqlStore) -> None:
    with store.writing("nothing") as work:
        assert work.record.write(entry("promotion:refused", "nothing")).chain == SYSTEM
    with store.reading() as work:
        assert [x.plain["action"] for x in work.record.read(model="nothing")] == ["promotion:refused"]


def test_an_entry_of_another_time_zone_verifies(store: SqlStore) -> None:
    at = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    with store.writing(None) as work:
        work.record.write(entry(model="", at=at))
    assert verify(store) == (1, [])


def test_a_changed_entry_is_found(written: SqlStore) -> None:
    forge(
        written,
        "UPDATE lockgate_audit SET text = replace(text, '\"ann\"', '\"eve\"') WHERE chain = 'model:1' AND number = 2",
    )
    count, found = verify(written)
    assert count == 7
    assert [(x.chain, x.number) for x in found] == [("model:1", 2)]
    assert "changed" in found[0].because


def test_a_changed_entry_hashed_again_is_found_at_the_next_one(written: SqlStore) -> None:
    with written.reading() as work:
        row = work.record.read(model="fraud")[2].plain
    forged = {**row, "why": "it was always so"}
    with written.changing() as work:
        sql = "UPDATE lockgate_audit SET text = :text, hash = :hash WHERE chain = 'model:1' AND number = 2"
        work.connection.execute(text(sql), {"text": canonical(forged).decode(), "hash": digest(forged)})
    assert [(x.chain, x.number) for x in verify(written)[1]] == [("model:1", 3)]


def test_a_dropped_entry_is_found(written: SqlStore) -> None:
    forge(written, "DELETE FROM lockgate_audit WHERE chain = 'model:1' AND number = 2")
    count, found = verify(written)
    assert count == 6
    assert {(x.chain, x.number) for x in found} == {("model:1", 2)}


def test_reordered_entries_are_found(written: SqlStore) -> None:
    forge(
        written,
        "UPDATE lockgate_audit SET number = 99 WHERE chain = 'model:1' AND number = 2",
        "UPDATE lockgate_audit SET number = 2 WHERE chain = 'model:1' AND number = 3",
        "UPDATE lockgate_audit SET number = 3 WHERE chain = 'model:1' AND number = 99",
    )
    assert {(x.chain, x.number) for x in verify(written)[1]} >= {("model:1", 2), ("model:1", 3)}


def test_entries_cut_from_the_end_are_found(written: SqlStore) -> None:
    forge(written, "DELETE FROM lockgate_audit WHERE chain = 'model:1' AND number > 2")
    assert [(x.chain, x.number) for x in verify(written)[1]] == [("model:1", 3)]


def test_a_chain_cut_off_whole_is_found_even_with_its_head(written: SqlStore) -> None:
    forge(written, "DELETE FROM lockgate_audit WHERE chain = 'model:2'")
    assert [x.chain for x in verify(written)[1]] == ["model:2"]
    forge(written, "DELETE FROM lockgate_chains WHERE chain = 'model:2'")
    assert verify(written) == (5, [Break("model:2", 0, "the whole chain is missing")])


def test_a_missing_head_is_found(written: SqlStore) -> None:
    forge(written, "DELETE FROM lockgate_chains WHERE chain = 'model:1'")
    assert [(x.chain, "head" in x.because) for x in verify(written)[1]] == [("model:1", True)]


@pytest.mark.parametrize("change", ["model = 'theft'", "action = 'x'", "version = 7", "version = NULL", "at = at + 1"])
def test_an_entry_hidden_by_changing_the_columns_it_is_found_by_is_found(written: SqlStore, change: str) -> None:
    forge(written, f"UPDATE lockgate_audit SET {change} WHERE chain = 'model:1' AND number = 3")
    found = verify(written)[1]
    assert [(x.chain, x.number) for x in found] == [("model:1", 3)]
    assert f"column {change.split()[0]} was changed" in found[0].because


def test_text_that_is_no_entry_any_more_is_told_and_does_not_stop_the_check(written: SqlStore) -> None:
    forge(
        written,
        "UPDATE lockgate_audit SET text = 'nonsense' WHERE chain = 'model:1' AND number = 1",
        "UPDATE lockgate_audit SET text = '[1.5]' WHERE chain = 'model:2' AND number = 1",
    )
    assert {(x.chain, x.number) for x in verify(written)[1]} == {("model:1", 1), ("model:2", 1)}


def test_an_undone_transaction_leaves_nothing(written: SqlStore, mlflow: Mlflow) -> None:
    mlflow.version("fraud", 1)

    def everything() -> list[list[str]]:
        with written.changing() as work:
            run = work.connection.exec_driver_sql
            names = inspect(work.connection).get_table_names()
            return [sorted(map(repr, run(f'SELECT * FROM "{name}"'))) for name in names]

    def fail_at_the_end() -> None:
        with written.writing("fraud") as work:
            work.versions.place(FRAUD_1, Stage.PRODUCTION, T0, "prm-1")
            work.versions.add_model("another")
            work.catalog.set_stage(FRAUD_1, Stage.PRODUCTION, T0)
            work.catalog.set_aliases("fraud", {"production": 1})
            work.catalog.set_tag(FRAUD_1, "a", "b")
            work.promotions.add(promotion("prm-1"), due_at=T0)
            work.endpoints.create("ep-1", "staging", "fraud", T0)
            work.policies.apply("enforce", "sha256:x", ANN, T0)
            work.record.write(entry())
            raise ZeroDivisionError

    before = everything()
    with pytest.raises(ZeroDivisionError):
        fail_at_the_end()
    assert everything() == before
    assert verify(written) == (7, [])
