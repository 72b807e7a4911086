"""What is promised about measurements of engines, as a queue and as results."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.engines import Figures, Measurement, MeasurementState, Parity
from lockgate.domain.policy import EngineKind
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import AlreadyOpen, LostClaim
from tests.contracts.makers import BOB, FRAUD_1, FRAUD_2, T0, HandClock, later

LEASE = timedelta(seconds=30)
ASKED = Measurement("eng-1", FRAUD_1, MeasurementState.QUEUED, BOB, T0)
PARITY = Parity(4800, 800, 0, 138, 1e-7, True)
DONE = replace(
    ASKED,
    state=MeasurementState.DONE,
    digest="sha256:" + "a" * 64,
    figures=(
        Figures(EngineKind.PYFUNC, True, "", "MLflow's own way", 4000.5, 5000.0, 9000.0, 11000.0),
        Figures(EngineKind.ONNX, True, "", "ONNX Runtime", 9.7, 10.1, 21.0, 4769854.0, PARITY),
    ),
    converted="sha256:" + "b" * 64,
    finished_at=later(minutes=1),
)


def test_a_measurement_is_read_back_with_every_field(store: SqlStore) -> None:
    with store.writing("fraud") as work:
        work.measurements.add(DONE)
    with store.reading() as work:
        assert work.measurements.get("eng-1") == DONE
        assert work.measurements.latest(FRAUD_1) == DONE
        assert work.measurements.latest(FRAUD_2) is None
        assert work.measurements.get("eng-9") is None


def test_the_newest_that_is_done_counts_and_all_are_listed(store: SqlStore) -> None:
    failed = replace(
        DONE, id="eng-3", state=MeasurementState.ERROR, asked_at=later(hours=2), finished_at=later(hours=3)
    )
    newer = replace(DONE, id="eng-2", asked_at=later(hours=1), finished_at=later(hours=1))
    with store.writing("fraud") as work:
        for each in (newer, DONE, failed):
            work.measurements.add(each)
        assert work.measurements.latest(FRAUD_1) == newer
        assert [each.id for each in work.measurements.history(FRAUD_1)] == ["eng-3", "eng-2", "eng-1"]
        assert [each.id for each in work.measurements.history(FRAUD_1, 1)] == ["eng-3"]


def test_a_version_has_one_open_measurement_at_most(store: SqlStore) -> None:
    with store.writing("fraud") as work:
        work.measurements.add(ASKED)
        work.measurements.add(replace(ASKED, id="eng-2", ref=FRAUD_2))
        assert work.measurements.open_for(FRAUD_1) == ASKED
    with pytest.raises(AlreadyOpen), store.writing("fraud") as work:
        work.measurements.add(replace(ASKED, id="eng-3"))


def test_measurements_are_claimed_in_turn_and_saved_under_the_claim(
    store: SqlStore, queue: SqlQueue, clock: HandClock
) -> None:
    with store.writing("fraud") as work:
        work.measurements.add(ASKED)
    claimed = queue.claim_measurement("one", LEASE)
    assert claimed is not None
    assert claimed[0] == ASKED
    assert queue.claim_measurement("two", LEASE) is None
    assert queue.renew(claimed[1], LEASE)
    clock.move(seconds=90)
    again = queue.claim_measurement("two", LEASE)
    assert again is not None
    with pytest.raises(LostClaim), store.writing("fraud") as work:
        queue.save_measurement(work, claimed[1], DONE, release=True)
    with store.writing("fraud") as work:
        queue.save_measurement(work, again[1], DONE, release=True)
        assert work.measurements.latest(FRAUD_1) == DONE
    assert queue.claim_measurement("one", LEASE) is None


def test_what_is_open_ends_when_its_model_goes(store: SqlStore) -> None:
    other = replace(ASKED, id="eng-2", ref=VersionRef("theft", 1))
    with store.writing(None) as work:
        work.measurements.add(ASKED)
        work.measurements.add(other)
        work.measurements.close_of_model("fraud", "its model was deleted", later(minutes=1))
        assert work.measurements.open_for(FRAUD_1) is None
        assert work.measurements.open_for(other.ref) == other
