"""What the agent decides: the order of a cutover follows from the facts, whatever they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from lockgate.agent.decide import Acknowledge, Bind, Close, Drain, Ensure, Go, Rest, Stop, decide, disagreement
from lockgate.domain.policy import EndpointRule
from lockgate.domain.serving import DesiredEndpoint, Endpoint, EndpointState, GroupState, Release
from lockgate.domain.versions import VersionRef
from lockgate.usecases.serving_ports import GroupSeen, WorkerSeen

READY, SERVING, DRAINING, STARTING = GroupState.READY, GroupState.SERVING, GroupState.DRAINING, GroupState.STARTING
PORTS = {"e": 5002}


def release(number: int) -> Release:
    return Release(
        f"r{number}", "e", VersionRef("fraud", number), "sha256:0", "mlflow", "p", datetime(2026, 1, 1, tzinfo=UTC)
    )


BLUE, GREEN, OTHER = release(1), release(2), release(3)


def want(
    committed: Release | None = None,
    candidate: Release | None = None,
    *,
    generation: int = 1,
    acknowledged: int = 1,
    workers: int = 1,
    state: EndpointState = EndpointState.SERVING,
    endpoint: str = "e",
    port: int | None = 5002,
    preferred: int = 5002,
    may_take_next: bool = True,
    parked: tuple[Release, ...] = (),
    park_memory: int = 1000,
) -> DesiredEndpoint:
    kept = Endpoint(
        endpoint, "production", "fraud", port, committed, generation, acknowledged, state, candidate=candidate
    )
    rule = EndpointRule(workers=workers, park_memory=park_memory)
    return DesiredEndpoint(kept, "127.0.0.1", preferred, may_take_next, rule, parked=parked)


def group(of: Release, *states: GroupState, wanted: int = 1, failed: str = "", memory: int = 0) -> GroupSeen:
    workers = tuple(WorkerSeen(f"{of.id}-{n}", 100 + n, state) for n, state in enumerate(states))
    return GroupSeen(of.endpoint, of.id, workers, wanted, failed, memory)


def test_a_new_endpoint_is_bound_and_its_candidate_started_but_not_let_go() -> None:
    desired = want(candidate=BLUE, port=None)
    actions = decide([desired], [], {}, frozenset({5002}))
    assert actions == [Bind("e", "127.0.0.1", (5002,)), Ensure(desired, BLUE)]


def test_a_candidate_that_is_ready_waits_for_its_commit() -> None:
    assert decide([want(BLUE, GREEN)], [group(BLUE, SERVING), group(GREEN, READY)], PORTS) == []


def test_green_goes_first_then_blue_is_drained_then_it_is_acknowledged() -> None:
    desired = [want(GREEN, generation=2, acknowledged=1)]
    assert decide(desired, [group(BLUE, SERVING), group(GREEN, READY)], PORTS) == [Go("e", "r2")]
    assert decide(desired, [group(BLUE, SERVING), group(GREEN, SERVING)], PORTS) == [Drain("e", "r1", forward=True)]
    assert decide(desired, [group(BLUE, DRAINING), group(GREEN, SERVING)], PORTS) == [Acknowledge("e", 2)]


def test_green_waits_until_all_of_it_has_loaded_while_blue_serves() -> None:
    desired = [want(GREEN, generation=2, workers=2)]
    green = group(GREEN, READY, STARTING, wanted=2)
    assert decide(desired, [group(BLUE, SERVING), green], PORTS) == []


def test_one_loaded_worker_goes_at_once_when_nobody_serves() -> None:
    desired = [want(GREEN, generation=2, workers=2)]
    assert Go("e", "r2") in decide(desired, [group(GREEN, READY, STARTING, wanted=2)], PORTS)


def test_a_restarted_worker_of_the_committed_release_goes_again() -> None:
    desired = [want(BLUE, workers=2)]
    assert decide(desired, [group(BLUE, SERVING, READY, wanted=2)], PORTS) == [Go("e", "r1")]


def test_blue_goes_on_while_the_committed_green_fails() -> None:
    desired = [want(GREEN, generation=2)]
    actions = decide(desired, [group(BLUE, SERVING), group(GREEN, failed="no such module")], PORTS)
    assert actions == [Ensure(desired[0], GREEN)]


def test_a_candidate_that_is_given_up_is_stopped() -> None:
    for left in (group(GREEN, READY), group(GREEN, STARTING), group(GREEN, failed="why")):
        assert decide([want(BLUE)], [group(BLUE, SERVING), left], PORTS) == [Stop("e", "r2")]


def test_a_release_that_is_wanted_again_while_it_leaves_is_kept() -> None:
    leaving = group(GREEN, DRAINING, wanted=0)
    desired = want(BLUE, GREEN)
    assert decide([desired], [group(BLUE, SERVING), leaving], PORTS) == [Ensure(desired, GREEN), Rest("e", "r2")]
    again = want(GREEN, generation=3, acknowledged=2)
    assert decide([again], [group(BLUE, SERVING), leaving], PORTS) == [Ensure(again, GREEN), Go("e", "r2")]


def test_an_old_release_that_is_to_stay_warm_is_parked_when_green_takes_over() -> None:
    desired = [want(GREEN, generation=2, acknowledged=1, parked=(BLUE,))]
    both = [group(BLUE, SERVING, memory=600), group(GREEN, SERVING)]
    assert decide(desired, both, PORTS) == [Drain("e", "r1", forward=True, park=True)]
    done = [want(GREEN, generation=2, acknowledged=2, parked=(BLUE,))]
    for state in (DRAINING, READY):
        assert decide(done, [group(BLUE, state, memory=600), group(GREEN, SERVING)], PORTS) == []


def test_a_parked_release_leaves_when_its_time_is_over_and_is_not_started_again_when_it_died() -> None:
    blue, green = group(BLUE, READY), group(GREEN, SERVING)
    assert decide([want(GREEN)], [blue, green], PORTS) == [Stop("e", "r1")]
    assert decide([want(GREEN, parked=(BLUE,))], [group(BLUE), green], PORTS) == [Stop("e", "r1")]
    assert decide([want(GREEN, parked=(BLUE,))], [green], PORTS) == []


def test_what_is_parked_takes_no_more_memory_than_the_policy_gives_the_last_one_first() -> None:
    seen = [group(OTHER, SERVING), group(BLUE, READY, memory=600), group(GREEN, READY, memory=500)]
    assert decide([want(OTHER, parked=(GREEN, BLUE))], seen, PORTS) == [Stop("e", "r1")]
    assert decide([want(OTHER, parked=(GREEN, BLUE), park_memory=1100)], seen, PORTS) == []
    assert decide([want(OTHER, parked=(GREEN, BLUE), park_memory=0)], seen, PORTS) == [Stop("e", "r1"), Stop("e", "r2")]


def test_the_memory_of_all_that_is_parked_on_the_machine_counts_together() -> None:
    there = replace(BLUE, id="r7", endpoint="f")
    serving = replace(GREEN, id="r8", endpoint="f")
    seen = [group(GREEN, SERVING), group(BLUE, READY, memory=600), group(serving, SERVING)]
    desired = [want(GREEN, parked=(BLUE,)), want(serving, endpoint="f", parked=(there,))]
    both = {**PORTS, "f": 5003}
    assert decide(desired, [*seen, group(there, READY, memory=600)], both) == [Stop("f", "r7")]
    assert decide(desired, [*seen, group(there, READY, memory=400)], both) == []


def test_a_parked_release_that_is_wanted_again_goes_as_soon_as_it_is_committed() -> None:
    seen = [group(BLUE, READY), group(GREEN, SERVING)]
    assert decide([want(GREEN, BLUE, parked=(BLUE,))], seen, PORTS) == []
    back = want(BLUE, generation=3, acknowledged=2, parked=(GREEN,))
    assert decide([back], seen, PORTS) == [Go("e", "r1")]


def test_a_retired_endpoint_is_drained_without_a_successor_then_closed() -> None:
    desired = [want(BLUE, state=EndpointState.RETIRED)]
    assert decide(desired, [group(BLUE, SERVING)], PORTS) == [Drain("e", "r1", forward=False)]
    assert decide(desired, [group(BLUE, DRAINING)], PORTS) == [Close("e")]
    assert decide(desired, [group(BLUE, READY)], PORTS) == [Stop("e", "r1"), Close("e")]


def test_workers_that_nobody_on_record_knows_are_ended() -> None:
    assert decide([], [group(BLUE, SERVING)], PORTS) == [Drain("e", "r1", forward=False)]


def test_the_next_free_port_is_taken_only_from_another_endpoint_and_never_a_reserved_one() -> None:
    first = want(BLUE, endpoint="e", port=5001, preferred=5001)
    second = want(None, endpoint="f", port=None, preferred=5001)
    actions = decide([first, second], [group(BLUE, SERVING)], {"e": 5001}, frozenset({5002}))
    (bind,) = (action for action in actions if isinstance(action, Bind))
    assert bind.ports[:2] == (5003, 5004)
    alone = decide([replace(second, may_take_next=False), first], [], {"e": 5001})
    assert Bind("f", "127.0.0.1", (5001,)) in alone
    known = want(None, endpoint="f", port=5009, preferred=5001)
    assert Bind("f", "127.0.0.1", (5009,)) in decide([first, known], [], {"e": 5001})


def test_an_environments_own_port_is_never_given_up_to_a_stranger() -> None:
    new = want(None, port=None, preferred=5001)
    (bind,) = (action for action in decide([new], [], {}, frozenset({5001})) if isinstance(action, Bind))
    assert bind.ports == (5001,)
    (bind,) = (action for action in decide([new], [], {}, frozenset({5000})) if isinstance(action, Bind))
    assert bind.ports[:2] == (5001, 5002)


def test_a_difference_is_told_with_its_reason() -> None:
    assert disagreement(want(BLUE), [group(BLUE, SERVING)]) == ""
    assert disagreement(want(None), []) == ""
    assert "no such module" in disagreement(want(BLUE), [group(BLUE, failed="no such module")])
    assert "r1 still takes traffic" in disagreement(want(GREEN), [group(BLUE, SERVING), group(GREEN, SERVING)])
    assert disagreement(want(BLUE), [], "Port 5002 is taken by process 7.") == "Port 5002 is taken by process 7."
    assert disagreement(want(BLUE, state=EndpointState.RETIRED), []) == ""


# --- whatever the facts

_states = st.sampled_from([STARTING, READY, SERVING, DRAINING])


@st.composite
def _groups(draw: st.DrawFn) -> list[GroupSeen]:
    return [
        group(
            of,
            *draw(st.lists(_states, max_size=3)),
            wanted=draw(st.integers(0, 3)),
            failed=draw(st.sampled_from(["", "x"])),
            memory=draw(st.sampled_from([0, 400, 900])),
        )
        for of in draw(st.lists(st.sampled_from([BLUE, GREEN, OTHER]), unique=True))
    ]


_wants = st.builds(
    want,
    st.sampled_from([None, BLUE, GREEN]),
    st.sampled_from([None, BLUE, GREEN]),
    generation=st.integers(0, 3),
    acknowledged=st.integers(0, 3),
    workers=st.integers(1, 3),
    state=st.sampled_from(list(EndpointState)),
    parked=st.lists(st.sampled_from([BLUE, GREEN, OTHER]), unique=True).map(tuple),
)


@given(_wants, _groups())
def test_only_the_committed_release_is_ever_told_to_accept(desired: DesiredEndpoint, groups: list[GroupSeen]) -> None:
    committed = desired.endpoint.release
    for action in decide([desired], groups, PORTS):
        if isinstance(action, Go):
            assert committed is not None
            assert action.release == committed.id
            assert desired.endpoint.state is not EndpointState.RETIRED


@given(_wants, _groups())
def test_nobody_is_drained_before_the_committed_release_accepts(
    desired: DesiredEndpoint, groups: list[GroupSeen]
) -> None:
    committed = desired.endpoint.release
    serves = committed is not None and any(seen.release == committed.id and seen.accepts for seen in groups)
    for action in decide([desired], groups, PORTS):
        if isinstance(action, Drain) and desired.endpoint.state is not EndpointState.RETIRED:
            assert serves
            assert action.forward


@given(_wants, _groups())
def test_nothing_wanted_is_stopped_and_the_committed_is_never_drained(
    desired: DesiredEndpoint, groups: list[GroupSeen]
) -> None:
    endpoint = desired.endpoint
    if endpoint.state is EndpointState.RETIRED:
        return
    keep = {kept.id for kept in (endpoint.release, endpoint.candidate) if kept is not None}
    for action in decide([desired], groups, PORTS):
        assert not isinstance(action, Close)
        if isinstance(action, Stop):
            assert action.release not in keep
        if isinstance(action, Drain):
            assert endpoint.release is not None
            assert action.release != endpoint.release.id


@given(_wants, _groups())
def test_a_generation_is_acknowledged_only_when_its_release_accepts_alone(
    desired: DesiredEndpoint, groups: list[GroupSeen]
) -> None:
    for action in decide([desired], groups, PORTS):
        if isinstance(action, Acknowledge):
            committed = desired.endpoint.release
            assert committed is not None
            assert [seen.release for seen in groups if seen.accepts] == [committed.id]
            assert action.generation == desired.endpoint.generation > desired.endpoint.acknowledged


@given(_wants, _groups())
def test_carried_out_the_decisions_lead_to_the_committed_release_alone(
    desired: DesiredEndpoint, groups: list[GroupSeen]
) -> None:
    """Workers load, drained ones leave: after a while nothing is left to do and the record is right."""
    world = {seen.release: replace(seen, failed="") for seen in groups}
    endpoint = desired.endpoint
    for _ in range(20):
        actions = decide([replace(desired, endpoint=endpoint)], list(world.values()), PORTS)
        for action in actions:
            match action:
                case Ensure(_, of):
                    old = world.get(of.id, group(of))
                    fresh = [WorkerSeen(f"n{n}", n, STARTING) for n in range(desired.rule.workers - len(old.workers))]
                    world[of.id] = replace(old, wanted=desired.rule.workers, workers=(*old.workers, *fresh))
                case Go(_, name):
                    world[name] = _all(world[name], SERVING, but=STARTING)
                case Rest(_, name):
                    world[name] = _all(world[name], READY, but=STARTING)
                case Drain(_, name, park=True):
                    world[name] = _all(world[name], READY)
                case Drain(_, name) | Stop(_, name):
                    world[name] = replace(_all(world[name], DRAINING), wanted=0)
                case Acknowledge(_, generation):
                    endpoint = replace(endpoint, acknowledged=generation)
                case Bind() | Close():
                    pass
        world = {name: _a_moment_later(seen) for name, seen in world.items()}
        world = {name: seen for name, seen in world.items() if seen.workers}
    retired = endpoint.state is EndpointState.RETIRED
    accepting = [name for name, seen in world.items() if seen.accepts]
    if retired:
        assert not world
    elif endpoint.release is not None:
        assert accepting == [endpoint.release.id]
        assert endpoint.acknowledged >= endpoint.generation
        kept = {endpoint.release.id} | ({endpoint.candidate.id} if endpoint.candidate else set())
        parked = {release.id for release in desired.parked} - kept
        assert kept <= world.keys() <= kept | parked
        assert sum(world[name].memory for name in world.keys() & parked) <= desired.rule.park_memory


def _all(seen: GroupSeen, state: GroupState, but: GroupState | None = None) -> GroupSeen:
    return replace(seen, workers=tuple(w if w.state is but else replace(w, state=state) for w in seen.workers))


def _a_moment_later(seen: GroupSeen) -> GroupSeen:
    """What was leaving has left; what was starting has loaded."""
    left = [worker for worker in seen.workers if worker.state is not DRAINING]
    return replace(seen, workers=tuple(replace(w, state=READY) if w.state is STARTING else w for w in left))
