"""What endpoint and release rows promise: the committed release and its generation move together, or not at all."""

from __future__ import annotations

import pytest

from lockgate.adapters.sql.ledger import SqlAgentLedger
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.errors import Conflict, NotFound
from lockgate.domain.evidence import Quarantine
from lockgate.domain.serving import Endpoint, EndpointState, GroupState, ObservedGroup
from lockgate.domain.versions import VersionRef
from tests.contracts.makers import ANN, FRAUD_1, FRAUD_2, T0, HandClock, later, release

EMPTY = Endpoint("ep-1", "staging", "fraud", None, None, 0, 0, EndpointState.PENDING)


@pytest.fixture
def ledger(store: SqlStore) -> SqlAgentLedger:
    return SqlAgentLedger(store, "agent-1")


def made(store: SqlStore, id: str = "ep-1", environment: str = "staging", model: str = "fraud", hours: int = 0) -> None:
    with store.writing(model) as work:
        work.endpoints.create(id, environment, model, later(hours=hours))


def test_a_new_endpoint_is_pending_and_the_same_one_is_not_made_twice(store: SqlStore) -> None:
    with store.writing("fraud") as work:
        assert work.endpoints.create("ep-1", "staging", "fraud", T0) == EMPTY
        assert work.endpoints.create("ep-2", "staging", "fraud", T0) == EMPTY
        work.endpoints.create("ep-3", "production", "fraud", T0)
        work.endpoints.create("ep-4", "staging", "apples", T0)
    with store.reading() as work:
        assert work.endpoints.get("staging", "fraud") == work.endpoints.by_id("ep-1") == EMPTY
        assert [x.id for x in work.endpoints.all()] == ["ep-3", "ep-4", "ep-1"]
        assert [x.id for x in work.endpoints.of_model("fraud")] == ["ep-3", "ep-1"]
        assert work.endpoints.get("staging", "nothing") is None
        assert work.endpoints.by_id("ep-9") is None


def test_a_retired_endpoint_is_found_by_its_id_alone_and_makes_room(store: SqlStore) -> None:
    made(store)
    with store.writing("fraud") as work:
        work.endpoints.set_state("ep-1", EndpointState.RETIRED, "nobody asks it")
        assert work.endpoints.get("staging", "fraud") is None
        assert work.endpoints.all() == work.endpoints.of_model("fraud") == []
        retired = work.endpoints.by_id("ep-1")
        assert retired is not None
        assert (retired.state, retired.because) == (EndpointState.RETIRED, "nobody asks it")
        assert work.endpoints.create("ep-2", "staging", "fraud", T0).id == "ep-2"


def test_a_warmed_release_is_the_candidate_until_it_is_committed(store: SqlStore) -> None:
    made(store)
    one, two = release("rel-1", "ep-1"), release("rel-2", "ep-1", FRAUD_2, created_at=later(hours=1))
    with store.writing("fraud") as work:
        work.endpoints.warm("ep-1", one)
        work.endpoints.warm("ep-1", one)
        warmed = work.endpoints.by_id("ep-1")
        assert warmed is not None
        assert (warmed.release, warmed.candidate, warmed.generation) == (None, one, 0)
        assert work.endpoints.commit("ep-1", "rel-1", T0) == 1
        work.endpoints.warm("ep-1", two)
        work.endpoints.warm("ep-1", None)
        work.endpoints.warm("ep-1", two)
        assert work.endpoints.commit("ep-1", "rel-2", T0) == 2
    with store.reading() as work:
        found = work.endpoints.by_id("ep-1")
        assert found is not None
        assert (found.release, found.candidate, found.generation) == (two, None, 2)
        assert work.endpoints.releases("ep-1") == [two, one]
        assert work.endpoints.release("rel-1") == one
        assert work.endpoints.release("rel-9") is None


def test_only_the_candidate_can_be_committed(store: SqlStore) -> None:
    made(store)
    with store.writing("fraud") as work:
        work.endpoints.warm("ep-1", release("rel-1", "ep-1"))
        work.endpoints.warm("ep-1", release("rel-2", "ep-1"))
        with pytest.raises(Conflict, match="rel-1"):
            work.endpoints.commit("ep-1", "rel-1", T0)
        assert work.endpoints.commit("ep-1", "rel-2", T0) == 1


def test_a_release_is_baked_once(store: SqlStore) -> None:
    made(store)
    with store.writing("fraud") as work:
        work.endpoints.warm("ep-1", release("rel-1", "ep-1"))
        work.endpoints.bake("rel-1", later(hours=1))
        work.endpoints.bake("rel-1", later(hours=2))
        assert work.endpoints.release("rel-1") == release("rel-1", "ep-1", baked_at=later(hours=1))


def test_setting_the_state_of_no_endpoint_is_told(store: SqlStore) -> None:
    with pytest.raises(NotFound, match="ep-9"), store.writing("fraud") as work:
        work.endpoints.set_state("ep-9", "serving")


def test_what_an_agent_reports_replaces_what_it_reported_before(
    store: SqlStore, ledger: SqlAgentLedger, clock: HandClock
) -> None:
    other = SqlAgentLedger(store, "agent-2")
    blue = ObservedGroup("ep-1", "rel-1", GroupState.SERVING, "", (11, 12))
    green = ObservedGroup("ep-1", "rel-2", GroupState.FAILED, "it crashed", ())
    ledger.report([blue, green])
    other.report([ObservedGroup("ep-2", "rel-3", GroupState.READY)])
    with store.reading() as work:
        assert [(x.release, x.state, x.because, x.pids, x.seen_at) for x in work.endpoints.observed("ep-1")] == [
            ("rel-1", GroupState.SERVING, "", (11, 12), T0),
            ("rel-2", GroupState.FAILED, "it crashed", (), T0),
        ]
    clock.move(seconds=1)
    ledger.report([blue])
    with store.reading() as work:
        assert [x.seen_at for x in work.endpoints.observed("ep-1")] == [later(seconds=1)]
        assert work.endpoints.observed_release("rel-2") is None
        seen = work.endpoints.observed_release("rel-3")
        assert seen is not None
        assert seen.state is GroupState.READY
    ledger.report([])
    with store.reading() as work:
        assert work.endpoints.observed("ep-1") == []


def test_an_acknowledgement_moves_forward_only_and_makes_the_endpoint_serve(
    store: SqlStore, ledger: SqlAgentLedger
) -> None:
    made(store)
    with store.writing("fraud") as work:
        for number in (1, 2):
            work.endpoints.warm("ep-1", release(f"rel-{number}", "ep-1"))
            work.endpoints.commit("ep-1", f"rel-{number}", T0)

    def seen() -> tuple[int, EndpointState, str]:
        with store.reading() as work:
            found = work.endpoints.by_id("ep-1")
            assert found is not None
            return found.acknowledged, found.state, found.because

    ledger.degrade("ep-1", "nothing answers")
    assert seen() == (0, EndpointState.DEGRADED, "nothing answers")
    ledger.acknowledge("ep-1", 3)
    assert seen()[0] == 0
    ledger.acknowledge("ep-1", 2)
    assert seen() == (2, EndpointState.SERVING, "")
    ledger.acknowledge("ep-1", 1)
    assert seen() == (2, EndpointState.SERVING, "")


def test_taking_a_degradation_back_brings_the_state_from_before(store: SqlStore, ledger: SqlAgentLedger) -> None:
    made(store)
    with store.writing("fraud") as work:
        work.endpoints.set_state("ep-1", EndpointState.VACANT, "no version is in Staging")
    for because, state in (("it differs", EndpointState.DEGRADED), ("", EndpointState.VACANT)):
        ledger.degrade("ep-1", because)
        with store.reading() as work:
            found = work.endpoints.by_id("ep-1")
        assert found is not None
        assert (found.state, found.because) == (state, because or "no version is in Staging")


def test_the_first_endpoint_of_an_environment_has_its_port_and_the_others_the_next_ones(
    store: SqlStore, ledger: SqlAgentLedger
) -> None:
    for number, model in enumerate(["fraud", "apples", "theft"]):
        made(store, f"ep-{number}", "staging", model, hours=number)
    made(store, "ep-p", "production", "fraud", hours=1)
    made(store, "ep-a", "anywhere", "fraud", hours=1)

    def ports() -> dict[str, tuple[int | None, int, bool]]:
        return {x.endpoint.id: (x.endpoint.port, x.preferred_port, x.may_take_next) for x in ledger.desired()}

    assert ports() == {
        "ep-0": (None, 5001, False),
        "ep-1": (None, 5003, True),
        "ep-2": (None, 5004, True),
        "ep-p": (None, 5002, False),
        "ep-a": (None, 0, False),
    }
    ledger.bound("ep-0", 5001)
    ledger.bound("ep-1", 5007)
    ledger.bound("ep-a", 43210)
    assert ports() == {
        "ep-0": (5001, 5001, False),
        "ep-1": (5007, 5007, True),
        "ep-2": (None, 5003, True),
        "ep-p": (None, 5002, False),
        "ep-a": (43210, 43210, False),
    }
    seen = {(x.host, x.rule.workers, x.rule.timeout.total_seconds()) for x in ledger.desired()}
    assert seen == {("127.0.0.1", 3, 7.0)}


def test_when_the_first_endpoint_retires_the_next_new_one_gets_the_environments_port(
    store: SqlStore, ledger: SqlAgentLedger
) -> None:
    made(store, "ep-1", "staging", "fraud")
    ledger.bound("ep-1", 5001)
    with store.writing("fraud") as work:
        work.endpoints.set_state("ep-1", EndpointState.RETIRED)
    made(store, "ep-2", "staging", "theft")
    assert [(x.endpoint.id, x.preferred_port) for x in ledger.desired()] == [("ep-2", 5001)]


def test_a_retired_endpoint_is_desired_while_its_workers_are_seen(store: SqlStore, ledger: SqlAgentLedger) -> None:
    made(store)
    ledger.report([ObservedGroup("ep-1", "rel-1", GroupState.SERVING)])
    with store.writing("fraud") as work:
        work.endpoints.set_state("ep-1", EndpointState.RETIRED)
    assert [x.endpoint.state for x in ledger.desired()] == [EndpointState.RETIRED]
    ledger.report([])
    assert ledger.desired() == []


def test_the_agent_is_told_the_committed_release_and_the_candidate(store: SqlStore, ledger: SqlAgentLedger) -> None:
    made(store)
    with store.writing("fraud") as work:
        work.endpoints.warm("ep-1", release("rel-1", "ep-1"))
        work.endpoints.commit("ep-1", "rel-1", T0)
        work.endpoints.warm("ep-1", release("rel-2", "ep-1", FRAUD_2))
    (found,) = ledger.desired()
    assert found.endpoint.release is not None
    assert found.endpoint.candidate is not None
    assert (found.endpoint.release.ref, found.endpoint.candidate.ref) == (FRAUD_1, FRAUD_2)


def test_a_release_that_left_is_parked_for_as_long_as_the_policy_says_the_last_one_first(
    store: SqlStore, ledger: SqlAgentLedger, clock: HandClock
) -> None:
    made(store)
    for number in (1, 2, 3):
        commit(store, f"rel-{number}", VersionRef("fraud", number), clock)
        clock.move(minutes=1)

    def parked() -> list[str]:
        (found,) = ledger.desired()
        return [release.id for release in found.parked]

    assert parked() == ["rel-2", "rel-1"]
    clock.move(minutes=28, seconds=30)  # the first one left thirty and a half minutes ago
    assert parked() == ["rel-2"]
    with store.writing("fraud") as work:
        work.versions.quarantine(FRAUD_2, Quarantine(clock.now(), "harm"))
    assert parked() == []


def test_a_release_that_comes_back_is_parked_no_more_and_bakes_again(
    store: SqlStore, ledger: SqlAgentLedger, clock: HandClock
) -> None:
    made(store)
    commit(store, "rel-1", FRAUD_1, clock)
    with store.writing("fraud") as work:
        work.endpoints.bake("rel-1", clock.now())
    commit(store, "rel-2", FRAUD_2, clock)
    commit(store, "rel-1", FRAUD_1, clock)
    (found,) = ledger.desired()
    assert [release.id for release in found.parked] == ["rel-2"]
    assert found.endpoint.release is not None
    assert (found.endpoint.release.id, found.endpoint.release.baked_at) == ("rel-1", None)
    assert found.endpoint.generation == 3


def commit(store: SqlStore, id: str, ref: VersionRef, clock: HandClock) -> None:
    with store.writing("fraud") as work:
        work.versions.register(ref, ANN, T0)
        work.endpoints.warm("ep-1", release(id, "ep-1", ref))
        work.endpoints.commit("ep-1", id, clock.now())
