"""What is promised about requests for approval, and about validations as a queue and as results."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.approvals import RequestState
from lockgate.domain.errors import NotFound
from lockgate.domain.promotion import Claim
from lockgate.domain.stages import Stage
from lockgate.domain.validation import Examination, Library, ModelFacts, TestResult, ValidationState
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import AlreadyOpen, LostClaim
from tests.contracts.makers import BOB, FRAUD_1, FRAUD_2, T0, HandClock, decision, later, request, validation

LEASE = timedelta(seconds=30)
EXAMINATION = Examination(
    results=(
        TestResult("schema_test", True, "it fits", {"rows": 3.0}, ("no signature",)),
        TestResult("latency_test", False, "too slow", {"p95_ms": float("inf")}),
    ),
    facts=ModelFacts(True, (Library("scikit-learn", "1.7.0", None),), "input_example"),
    seconds=1.25,
)


def test_a_request_keeps_its_decisions_in_the_order_they_were_made(store: SqlStore) -> None:
    no, yes = decision(False, comment="not yet"), decision(at=later(hours=1))
    with store.writing("fraud") as work:
        work.approvals.add(request("req-1"))
        work.approvals.decide("req-1", no, RequestState.REJECTED)
        work.approvals.decide("req-1", yes, RequestState.APPROVED)
    with store.reading() as work:
        found = work.approvals.latest(FRAUD_1, Stage.PRODUCTION)
    assert found == request("req-1", state=RequestState.APPROVED, decisions=(no, yes))


def test_a_request_added_with_a_decision_keeps_it(store: SqlStore) -> None:
    whole = request("req-1", asked_by=BOB, decisions=(decision(),), state=RequestState.APPROVED)
    with store.writing("fraud") as work:
        work.approvals.add(whole)
        assert work.approvals.latest(FRAUD_1, Stage.PRODUCTION) == whole


def test_the_latest_request_counts_and_the_others_are_listed(store: SqlStore) -> None:
    with store.writing("fraud") as work:
        work.approvals.add(request("req-1"))
        work.approvals.add(request("req-2", asked_at=later(hours=1)))
        work.approvals.add(request("req-3", FRAUD_2))
        found = work.approvals.latest(FRAUD_1, Stage.PRODUCTION)
        assert found is not None
        assert found.id == "req-2"
        assert work.approvals.latest(FRAUD_1, Stage.STAGING) is None
        assert [x.id for x in work.approvals.of_model("fraud")] == ["req-2", "req-3", "req-1"]
        assert [x.id for x in work.approvals.of_model("fraud", limit=1)] == ["req-2"]


def test_pending_requests_come_oldest_first_over_all_living_models(store: SqlStore) -> None:
    with store.writing(None) as work:
        work.approvals.add(request("req-3", asked_at=later(hours=2)))
        work.approvals.add(request("req-2", VersionRef("theft", 1), asked_at=later(hours=1)))
        work.approvals.add(request("req-1", FRAUD_2))
        work.approvals.add(request("req-0", VersionRef("gone", 1)))
        work.approvals.decide("req-3", decision(), RequestState.APPROVED)
        work.versions.delete_model("gone", T0)
    with store.reading() as work:
        assert [x.id for x in work.approvals.pending()] == ["req-1", "req-2"]


def test_deciding_on_no_request_is_told(store: SqlStore) -> None:
    with pytest.raises(NotFound, match="req-9"), store.writing("fraud") as work:
        work.approvals.decide("req-9", decision(), RequestState.APPROVED)


def test_a_validation_is_read_back_with_every_field(store: SqlStore) -> None:
    whole = validation(
        "val-1",
        state=ValidationState.FAILED,
        asked_by=BOB,
        digest="sha256:files",
        examination=EXAMINATION,
        because="latency_test failed",
        finished_at=later(seconds=9),
    )
    empty = replace(whole, id="val-2", examination=Examination((), None, 0.0))
    with store.writing("fraud") as work:
        work.validations.add(whole)
        work.validations.add(empty)
    with store.reading() as work:
        assert work.validations.get("val-1") == whole
        assert work.validations.get("val-2") == empty
        assert work.validations.get("val-9") is None


def test_a_version_has_one_open_validation_at_most(store: SqlStore) -> None:
    with store.writing("fraud") as work:
        work.validations.add(validation("val-1"))
        with pytest.raises(AlreadyOpen):
            work.validations.add(validation("val-2"))
        work.validations.add(validation("val-3", FRAUD_2))
        found = work.validations.open_for(FRAUD_1)
        assert found is not None
        assert found.id == "val-1"


def test_the_newest_finished_validation_of_a_digest_counts(store: SqlStore) -> None:
    def finished(id: str, digest: str, hours: int):
        return validation(id, state=ValidationState.PASSED, digest=digest, finished_at=later(hours=hours))

    with store.writing("fraud") as work:
        for new in (finished("val-1", "one", 2), finished("val-2", "two", 1), finished("val-3", "one", 0)):
            work.validations.add(new)
        work.validations.add(validation("val-4", asked_at=later(hours=9)))
        latest = [work.validations.latest(FRAUD_1, digest) for digest in (None, "one", "two", "three")]
        assert [x and x.id for x in latest] == ["val-1", "val-1", "val-2", None]
        assert work.validations.latest(FRAUD_2) is None
        assert next(x.id for x in work.validations.of_model("fraud")) == "val-4"
        assert len(work.validations.of_model("fraud", limit=2)) == 2


def test_validations_are_run_in_the_order_they_were_asked_for(store: SqlStore, queue: SqlQueue) -> None:
    with store.writing("fraud") as work:
        work.validations.add(validation("val-2"))
        work.validations.add(validation("val-1", FRAUD_2, asked_at=T0 - timedelta(seconds=1)))
    claimed = [queue.claim_validation("a", LEASE) for _ in range(3)]
    assert [taken and taken[1] for taken in claimed] == [Claim("val-1", "a", 1), Claim("val-2", "a", 1), None]


def test_a_validation_whose_runner_died_is_taken_over(store: SqlStore, queue: SqlQueue, clock: HandClock) -> None:
    with store.writing("fraud") as work:
        work.validations.add(validation("val-1"))
    first = queue.claim_validation("a", LEASE)
    assert first is not None
    running = replace(first[0], state=ValidationState.RUNNING)
    with store.writing("fraud") as work:
        queue.save_validation(work, first[1], running, release=False)
    clock.move(seconds=20)
    assert queue.renew(first[1], LEASE)
    clock.move(seconds=31)
    second = queue.claim_validation("b", LEASE)
    assert second is not None
    assert second == (running, Claim("val-1", "b", 2))
    with pytest.raises(LostClaim), store.writing("fraud") as work:
        queue.save_validation(work, first[1], running, release=True)
    with store.writing("fraud") as work:
        passed = replace(running, state=ValidationState.PASSED, examination=EXAMINATION)
        queue.save_validation(work, second[1], passed, release=True)
        assert work.validations.open_for(FRAUD_1) is None
        assert work.validations.latest(FRAUD_1) == replace(passed, finished_at=T0)
    assert queue.claim_validation("c", LEASE) is None
