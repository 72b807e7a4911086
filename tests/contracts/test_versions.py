"""What the lifecycle rows promise: one truth about each version, and a history that is never rewritten."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.sql.tables import stays
from lockgate.domain.errors import NotFound
from lockgate.domain.evidence import Quarantine
from lockgate.domain.identity import Who
from lockgate.domain.manifest import Manifest, PinnedFile
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import Lifecycle
from tests.contracts.databases import Mlflow
from tests.contracts.makers import ANN, FRAUD_1, FRAUD_2, T0, entry, later, promotion

MANIFEST = Manifest.of([PinnedFile("model.pkl", 3, "ab" * 32), PinnedFile("MLmodel", 2, "cd" * 32)])


def stays_of(store: SqlStore) -> list[tuple]:
    with store.changing() as work:
        columns = select(stays.c.version, stays.c.stage, stays.c.entered_at, stays.c.left_at, stays.c.promotion)
        return [tuple(row) for row in work.connection.execute(columns.order_by(stays.c.id))]


def test_a_registered_version_is_read_back_as_it_was_written(store: SqlStore, fraud: str) -> None:
    with store.writing(fraud) as work:
        work.versions.register(FRAUD_1, ANN, T0)
        work.versions.register(FRAUD_1, Who("someone else"), later(hours=1), stage=Stage.STAGING)
    with store.reading() as work:
        assert work.versions.get(FRAUD_1) == Lifecycle(
            FRAUD_1, Stage.NONE, T0, T0, False, None, None, ANN, T0, "registered"
        )
    assert stays_of(store) == [(1, "None", T0, None, None)]


def test_a_version_from_before_lockgate_is_shown_without_being_stored(store: SqlStore, mlflow: Mlflow) -> None:
    created, moved = T0.replace(microsecond=0), later(hours=3).replace(microsecond=0)
    mlflow.model("fraud")
    mlflow.version("fraud", 1, stage="Production", created=created, updated=moved, user="eve")
    mlflow.version("fraud", 2, stage="Production", created=created)
    mlflow.version("fraud", 3, stage="Deleted_Internal")
    mlflow.alias("fraud", "production", 1)
    eve = Who("eve", verified=False, via="mlflow")
    expected = Lifecycle(FRAUD_1, Stage.PRODUCTION, moved, moved, True, None, None, eve, created, "before Lockgate")
    with store.reading() as work:
        assert work.versions.get(FRAUD_1) == expected
        assert [x.ref.version for x in work.versions.of_model("fraud")] == [2, 1]
        assert [x.version for x in work.versions.in_stage("fraud", Stage.PRODUCTION)] == [2, 1]
        assert work.versions.in_stage("fraud", Stage.STAGING) == []
    assert stays_of(store) == []
    with store.writing("fraud") as work:
        assert work.versions.get(FRAUD_1) == expected
    assert stays_of(store) == [(1, "Production", moved, None, None)]
    with store.writing("fraud") as work:
        assert [x.version for x in work.versions.in_stage("fraud", Stage.PRODUCTION)] == [2, 1]
        assert [x.provenance for x in work.versions.of_model("fraud")] == ["before Lockgate"] * 2
    assert len(stays_of(store)) == 2


def test_a_stage_that_mlflow_never_had_counts_as_none(store: SqlStore, mlflow: Mlflow) -> None:
    mlflow.model("fraud")
    mlflow.version("fraud", 1, stage="Somewhere")
    with store.reading() as work:
        found = work.versions.get(FRAUD_1)
    assert found is not None
    assert found.stage is Stage.NONE


def test_what_mlflow_says_later_does_not_change_our_row(store: SqlStore, mlflow: Mlflow, fraud: str) -> None:
    with store.writing(fraud) as work:
        work.versions.register(FRAUD_1, ANN, T0)
        work.catalog.set_stage(FRAUD_1, Stage.PRODUCTION, T0)
    with store.reading() as work:
        assert [x.stage for x in work.versions.of_model(fraud)] == [Stage.NONE, Stage.NONE]
        assert work.versions.in_stage(fraud, Stage.PRODUCTION) == []


def test_placing_ends_one_stay_and_begins_another(store: SqlStore, fraud: str) -> None:
    with store.writing(fraud) as work:
        work.versions.register(FRAUD_1, ANN, T0)
        work.versions.place(FRAUD_1, Stage.STAGING, later(hours=1), "prm-1")
    with store.writing(fraud) as work:
        assert work.versions.elect(fraud, [Stage.STAGING]) == {Stage.STAGING: 1}
        work.versions.place(FRAUD_1, Stage.STAGING, later(hours=2), "prm-2")
        again = work.versions.get(FRAUD_1)
    assert again is not None
    assert (again.since, again.entered, again.primary) == (later(hours=1), later(hours=2), True)
    with store.writing(fraud) as work:
        work.versions.place(FRAUD_1, Stage.ARCHIVED, later(hours=3), None)
        moved = work.versions.get(FRAUD_1)
    assert moved is not None
    assert (moved.stage, moved.primary) == (Stage.ARCHIVED, False)
    assert stays_of(store) == [
        (1, "None", T0, later(hours=1), None),
        (1, "Staging", later(hours=1), later(hours=3), "prm-1"),
        (1, "Archived", later(hours=3), None, None),
    ]


def test_a_stage_lists_the_least_recently_entered_first(store: SqlStore, fraud: str) -> None:
    with store.writing(fraud) as work:
        work.versions.place(FRAUD_2, Stage.PRODUCTION, later(hours=1), None)
        work.versions.place(FRAUD_1, Stage.PRODUCTION, later(hours=2), None)
        assert [x.version for x in work.versions.in_stage(fraud, Stage.PRODUCTION)] == [2, 1]
        work.versions.place(FRAUD_2, Stage.PRODUCTION, later(hours=3), None)
        assert [x.version for x in work.versions.in_stage(fraud, Stage.PRODUCTION)] == [1, 2]


def test_a_stage_has_one_primary_or_none(store: SqlStore, fraud: str) -> None:
    def primaries() -> list[int]:
        with store.reading() as work:
            return [x.ref.version for x in work.versions.of_model(fraud) if x.primary]

    with store.writing(fraud) as work:
        work.versions.place(FRAUD_2, Stage.PRODUCTION, T0, None)
        work.versions.place(FRAUD_1, Stage.PRODUCTION, later(hours=1), None)
        assert work.versions.elect(fraud, [Stage.PRODUCTION]) == {Stage.PRODUCTION: 1}
    assert primaries() == [1]
    with store.writing(fraud) as work:
        work.versions.place(FRAUD_2, Stage.PRODUCTION, later(hours=2), None)
        assert work.versions.elect(fraud, [Stage.PRODUCTION]) == {Stage.PRODUCTION: 2}
    assert primaries() == [2]
    with store.writing(fraud) as work:
        work.versions.place(FRAUD_2, Stage.STAGING, later(hours=3), None)
        elected = work.versions.elect(fraud, [Stage.STAGING, Stage.PRODUCTION])
    assert elected == {Stage.STAGING: 2, Stage.PRODUCTION: 1}
    assert primaries() == [2, 1]
    with store.writing(fraud) as work:
        work.versions.place(FRAUD_1, Stage.ARCHIVED, later(hours=4), None)
        assert work.versions.elect(fraud, [Stage.PRODUCTION]) == {Stage.PRODUCTION: None}
    assert primaries() == [2]


def test_what_is_pinned_stays_pinned(store: SqlStore, fraud: str) -> None:
    other = Manifest.of([PinnedFile("other", 1, "00" * 32)])
    with store.writing(fraud) as work:
        assert work.versions.manifest(FRAUD_1) is None
        work.versions.pin(FRAUD_1, MANIFEST, T0)
        work.versions.pin(FRAUD_1, other, T0)
        work.versions.pin(FRAUD_2, Manifest.of([]), T0)
    with store.reading() as work:
        assert work.versions.manifest(FRAUD_1) == MANIFEST
        assert work.versions.manifest(FRAUD_2) == Manifest(())
        assert [x.digest for x in work.versions.of_model(fraud)] == [Manifest(()).digest, MANIFEST.digest]


def test_quarantine_is_set_listed_and_lifted(store: SqlStore, fraud: str) -> None:
    quarantine = Quarantine(T0, "it refused every customer")
    with store.writing(fraud) as work:
        work.versions.quarantine(FRAUD_1, quarantine)
    with store.reading() as work:
        found = work.versions.get(FRAUD_1)
        assert found is not None
        assert found.quarantine == quarantine
        assert work.versions.quarantined(fraud) == {FRAUD_1}
        assert work.versions.quarantined("nothing") == frozenset()
    with store.writing(fraud) as work:
        work.versions.quarantine(FRAUD_1, None)
        assert work.versions.quarantined(fraud) == frozenset()


def test_a_deleted_version_is_hidden_and_its_history_stays(store: SqlStore, fraud: str) -> None:
    with store.writing(fraud) as work:
        work.versions.place(FRAUD_1, Stage.STAGING, T0, None)
        work.versions.pin(FRAUD_1, MANIFEST, T0)
        work.versions.delete(FRAUD_1, later(hours=1))
        work.versions.delete(VersionRef("nothing", 1), T0)
    with store.reading() as work:
        assert work.versions.get(FRAUD_1) is None
        assert [x.ref for x in work.versions.of_model(fraud)] == [FRAUD_2]
        assert work.versions.in_stage(fraud, Stage.STAGING) == []
        assert work.versions.manifest(FRAUD_1) is None
    assert stays_of(store)[1] == (1, "Staging", T0, later(hours=1), None)


def test_a_version_that_is_not_there_cannot_be_changed(store: SqlStore, fraud: str) -> None:
    nine = VersionRef(fraud, 9)
    for change in (
        lambda work: work.versions.place(nine, Stage.STAGING, T0, None),
        lambda work: work.versions.pin(nine, MANIFEST, T0),
        lambda work: work.versions.quarantine(nine, Quarantine(T0, "")),
    ):
        with pytest.raises(NotFound, match="fraud@9"), store.writing(fraud) as work:
            change(work)


def test_a_renamed_model_takes_everything_along(store: SqlStore, mlflow: Mlflow, fraud: str) -> None:
    with store.writing(fraud) as work:
        work.versions.place(FRAUD_1, Stage.STAGING, T0, "prm-1")
        work.promotions.add(promotion("prm-1", leaves=FRAUD_2), due_at=T0)
        work.record.write(entry())
    mlflow.model("theft")  # as MLflow does it: the versions move to the new name
    with store.writing(fraud) as work:
        work.connection.exec_driver_sql("UPDATE model_versions SET name = 'theft'")
        work.versions.rename_model("fraud", "theft")
        work.record.write(entry("model:renamed", "theft"))
    with store.reading() as work:
        found = work.versions.get(VersionRef("theft", 1))
        assert found is not None
        assert found.stage is Stage.STAGING
        assert work.versions.get(FRAUD_1) is None
        moved = work.promotions.get("prm-1")
        assert moved is not None
        assert (moved.ref, moved.leaves) == (VersionRef("theft", 1), VersionRef("theft", 2))
        assert [x.plain["action"] for x in work.record.read(model="theft")] == ["model:renamed", "version:transitioned"]
        assert {x.linked.chain for x in work.record.read(model="theft")} == {"model:1"}
        assert work.record.verify() == (2, [])


def test_a_model_made_again_under_its_name_starts_with_nothing(store: SqlStore, mlflow: Mlflow, fraud: str) -> None:
    with store.writing(fraud) as work:
        work.versions.place(FRAUD_1, Stage.PRODUCTION, T0, None)
        work.promotions.add(promotion("prm-1"), due_at=T0)
        work.record.write(entry())
    mlflow.delete(fraud)
    with store.writing(fraud) as work:
        work.versions.delete_model(fraud, later(hours=1))
        work.versions.delete_model("nothing", T0)
        work.record.write(entry("model:deleted", version=None))
    mlflow.model(fraud)
    mlflow.version(fraud, 1)
    with store.writing(fraud) as work:
        work.versions.add_model(fraud)
        work.versions.add_model(fraud)
        work.versions.register(FRAUD_1, ANN, later(hours=2))
        work.record.write(entry("version:registered"))
    with store.reading() as work:
        found = work.versions.get(FRAUD_1)
        assert found is not None
        assert (found.stage, found.registered_at) == (Stage.NONE, later(hours=2))
        assert work.promotions.recent(fraud, 10) == []
        told = [(x.linked.chain, x.linked.number, x.plain["action"]) for x in work.record.read(model=fraud)]
        assert told == [
            ("model:2", 1, "version:registered"),
            ("model:1", 2, "model:deleted"),
            ("model:1", 1, "version:transitioned"),
        ]
    assert {left for _, stage, _, left, _ in stays_of(store) if stage == "Production"} == {later(hours=1)}


def test_a_rename_onto_the_name_of_a_model_deleted_behind_our_back_succeeds(store: SqlStore, fraud: str) -> None:
    with store.writing(fraud) as work:
        work.versions.add_model("theft")
        work.versions.register(FRAUD_1, ANN, T0)
        work.versions.rename_model("fraud", "theft")
        assert [x.ref for x in work.versions.of_model("theft")] == [VersionRef("theft", 1)]
