"""What promotion rows and their leases promise: one open at most, one owner at a time, no late word from the loser."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.promotion import Claim, Kind, PromotionState
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Gate, Level, Standing, Verdict
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import AlreadyOpen, LostClaim
from tests.contracts.makers import BOB, FRAUD_1, FRAUD_2, T0, HandClock, later, promotion

LEASE = timedelta(seconds=30)


def opened(store: SqlStore, *ids: str, **changes) -> None:
    """Open promotions of version 1, 2, … of fraud, due one second after the other."""
    with store.writing("fraud") as work:
        for number, id in enumerate(ids, start=1):
            ref = VersionRef("fraud", number)
            work.promotions.add(promotion(id, ref, **changes), due_at=later(seconds=number - len(ids)))


def test_a_promotion_is_read_back_with_every_field(store: SqlStore) -> None:
    verdict = Verdict((Gate("min_accuracy", Standing.FAILS, "0.8 is less", "0.8", "0.9", "train more", Level.WARN),))
    whole = promotion(
        "prm-1",
        kind=Kind.ROLLBACK,
        lasting=True,
        archive_existing=False,
        asked_by=BOB,
        state=PromotionState.WARMING,
        because="green starts",
        verdict=verdict,
        plan_digest="sha256:plan",
        policy_digest="sha256:policy",
        validation="val-1",
        endpoint="ep-1",
        candidate="rel-1",
        generation=7,
        leaves=FRAUD_2,
        judgements=2,
        state_since=later(seconds=1),
    )
    with store.writing("fraud") as work:
        assert work.promotions.add(whole, due_at=T0) is None
    with store.reading() as work:
        assert work.promotions.get("prm-1") == whole
        assert work.promotions.get("prm-2") is None


def test_one_promotion_of_a_version_to_a_stage_is_open_at_a_time(store: SqlStore, queue: SqlQueue) -> None:
    opened(store, "prm-1")
    with pytest.raises(AlreadyOpen), store.writing("fraud") as work:
        work.promotions.add(promotion("prm-2"), due_at=T0)
    with store.writing("fraud") as work:
        work.promotions.add(promotion("prm-3", stage=Stage.PRODUCTION), due_at=T0)
        work.promotions.add(promotion("prm-4", FRAUD_2), due_at=T0)
        assert work.promotions.close("prm-1", PromotionState.CANCELLED, "no", T0)
        work.promotions.add(promotion("prm-2"), due_at=T0)
        work.promotions.add(promotion("prm-0", state=PromotionState.REFUSED, closed_at=T0), due_at=T0)
    with store.reading() as work:
        found = work.promotions.open_for(FRAUD_1, Stage.STAGING)
        assert found is not None
        assert found.id == "prm-2"


def test_the_transaction_goes_on_after_finding_one_open(store: SqlStore) -> None:
    opened(store, "prm-1")
    with store.writing("fraud") as work:
        with pytest.raises(AlreadyOpen):
            work.promotions.add(promotion("prm-2"), due_at=T0)
        work.promotions.add(promotion("prm-3", FRAUD_2), due_at=T0)
    with store.reading() as work:
        assert [x.id for x in work.promotions.open_of_model("fraud")] == ["prm-1", "prm-3"]


def test_promotions_are_listed_newest_first(store: SqlStore) -> None:
    with store.writing(None) as work:
        for number, model in enumerate(["fraud", "fraud", "theft"]):
            new = promotion(f"prm-{number}", VersionRef(model, number + 1), asked_at=later(hours=number))
            work.promotions.add(new, due_at=T0)
        work.promotions.close("prm-1", PromotionState.CANCELLED, "", T0)
    with store.reading() as work:
        assert [x.id for x in work.promotions.recent(None, 2)] == ["prm-2", "prm-1"]
        assert [x.id for x in work.promotions.recent("fraud", 9)] == ["prm-1", "prm-0"]
        assert [x.id for x in work.promotions.open_of_model("fraud")] == ["prm-0"]
        assert work.promotions.recent("nothing", 9) == []


def test_a_promotion_claimed_as_it_is_added_is_nobody_elses(store: SqlStore, queue: SqlQueue, clock: HandClock) -> None:
    with store.writing("fraud") as work:
        claim = work.promotions.add(promotion("prm-1"), due_at=T0, claimed_by="server", lease=LEASE)
    assert claim == Claim("prm-1", "server", 1)
    assert queue.claim_promotion("controller", LEASE) is None
    clock.move(seconds=31)
    taken = queue.claim_promotion("controller", LEASE)
    assert taken is not None
    assert taken[1] == Claim("prm-1", "controller", 2)


def test_the_one_that_is_due_longest_is_claimed_first_and_none_before_it_is_due(
    store: SqlStore, queue: SqlQueue, clock: HandClock
) -> None:
    opened(store, "prm-1", "prm-2")
    with store.writing("fraud") as work:
        work.promotions.add(promotion("prm-3", stage=Stage.PRODUCTION), due_at=later(seconds=1))
    claimed = [queue.claim_promotion("a", LEASE) for _ in range(3)]
    assert [taken and taken[0].id for taken in claimed] == ["prm-1", "prm-2", None]
    clock.move(seconds=1)
    taken = queue.claim_promotion("a", LEASE)
    assert taken is not None
    assert taken[0].id == "prm-3"


def test_a_lease_that_ran_out_is_taken_over_and_the_first_owner_has_lost(
    store: SqlStore, queue: SqlQueue, clock: HandClock, fraud: str
) -> None:
    opened(store, "prm-1")
    first = queue.claim_promotion("a", LEASE)
    assert first is not None
    clock.move(seconds=30)
    assert queue.claim_promotion("b", LEASE) is None
    clock.move(seconds=0.001)
    second = queue.claim_promotion("b", LEASE)
    assert second is not None
    assert second[1] == Claim("prm-1", "b", 2)
    assert not queue.renew(first[1], LEASE)

    def late() -> None:
        with store.writing("fraud") as work:
            work.catalog.set_aliases("fraud", {"production": 1})
            queue.save_promotion(work, first[1], first[0], due_at=None, release=True)

    with pytest.raises(LostClaim):
        late()
    with store.changing() as work:
        assert work.connection.exec_driver_sql("SELECT * FROM registered_model_aliases").all() == []
        queue.save_promotion(work, second[1], second[0], due_at=None, release=True)


def test_a_renewed_lease_is_not_taken_over(store: SqlStore, queue: SqlQueue, clock: HandClock) -> None:
    opened(store, "prm-1")
    taken = queue.claim_promotion("a", LEASE)
    assert taken is not None
    clock.move(seconds=29)
    assert queue.renew(taken[1], LEASE)
    clock.move(seconds=29)
    assert queue.claim_promotion("b", LEASE) is None


def test_a_claim_given_back_is_free_when_it_is_due_and_cannot_be_used_again(
    store: SqlStore, queue: SqlQueue, clock: HandClock
) -> None:
    opened(store, "prm-1")
    taken = queue.claim_promotion("a", LEASE)
    assert taken is not None
    waiting = replace(taken[0], state=PromotionState.WAITING, because="for approval")
    with store.writing("fraud") as work:
        queue.save_promotion(work, taken[1], waiting, due_at=later(minutes=1), release=True)
        assert work.promotions.get("prm-1") == waiting
    with pytest.raises(LostClaim), store.writing("fraud") as work:
        queue.save_promotion(work, taken[1], waiting, due_at=None, release=True)
    assert not queue.renew(taken[1], LEASE)
    assert queue.claim_promotion("b", LEASE) is None
    with store.writing("fraud") as work:
        assert work.promotions.due("fraud", clock.now()) == 1
        assert work.promotions.due("nothing", clock.now()) == 0
    again = queue.claim_promotion("b", LEASE)
    assert again is not None
    assert again[0] == waiting


def test_a_claim_kept_can_be_saved_again(store: SqlStore, queue: SqlQueue) -> None:
    opened(store, "prm-1")
    taken = queue.claim_promotion("a", LEASE)
    assert taken is not None
    for state in (PromotionState.VALIDATING, PromotionState.JUDGING):
        with store.writing("fraud") as work:
            queue.save_promotion(work, taken[1], replace(taken[0], state=state), due_at=None, release=False)
    assert queue.claim_promotion("b", LEASE) is None


def test_only_promotions_that_wait_are_made_due(store: SqlStore) -> None:
    opened(store, "prm-1", state=PromotionState.WARMING)
    with store.writing("fraud") as work:
        assert work.promotions.due("fraud", T0) == 0


def test_a_promotion_that_waits_for_its_validation_is_made_due_as_well(store: SqlStore) -> None:
    opened(store, "prm-1", state=PromotionState.VALIDATING)
    with store.writing("fraud") as work:
        assert work.promotions.due("fraud", T0) == 1


@pytest.mark.parametrize("closed_at", [None, T0], ids=["without a time", "with its time"])
def test_what_is_over_is_never_claimed_or_changed_again(store: SqlStore, queue: SqlQueue, closed_at) -> None:
    opened(store, "prm-1")
    taken = queue.claim_promotion("a", LEASE)
    assert taken is not None
    done = replace(taken[0], state=PromotionState.DONE, closed_at=closed_at)
    with store.writing("fraud") as work:
        queue.save_promotion(work, taken[1], done, due_at=None, release=False)
        assert work.promotions.open_for(FRAUD_1, Stage.STAGING) is None
        assert not work.promotions.close("prm-1", PromotionState.CANCELLED, "too late", T0)
        assert not work.promotions.close("prm-9", PromotionState.CANCELLED, "never there", T0)
    assert not queue.renew(taken[1], LEASE)
    assert queue.claim_promotion("b", LEASE) is None
    with pytest.raises(LostClaim), store.writing("fraud") as work:
        queue.save_promotion(work, taken[1], taken[0], due_at=None, release=True)


def test_closing_takes_the_claim_from_whoever_holds_it(store: SqlStore, queue: SqlQueue) -> None:
    opened(store, "prm-1")
    taken = queue.claim_promotion("a", LEASE)
    assert taken is not None
    with store.writing("fraud") as work:
        assert work.promotions.close("prm-1", PromotionState.CANCELLED, "withdrawn", later(seconds=5))
    with pytest.raises(LostClaim), store.writing("fraud") as work:
        queue.save_promotion(work, taken[1], taken[0], due_at=None, release=True)
    with store.reading() as work:
        found = work.promotions.get("prm-1")
    assert found is not None
    assert (found.state, found.because, found.closed_at) == (PromotionState.CANCELLED, "withdrawn", later(seconds=5))


def test_a_row_is_saved_only_in_a_transaction_of_its_own_store(queue: SqlQueue) -> None:
    with pytest.raises(TypeError, match="its own store"):
        queue.save_promotion(object(), Claim("prm-1", "a", 1), promotion("prm-1"), due_at=None, release=True)  # type: ignore[arg-type]
