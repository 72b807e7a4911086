"""Going back: to which release, what it leaves behind, and when it is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.promotion import Kind
from lockgate.usecases import approve, promote, roll_back
from tests.integration.usecases.world import ANA, BEN, PRODUCTION, STAGING, M, World

Make = Callable[[str], World]
OPEN = "level: enforce\nstages: {Staging: {}, Production: {}}\n"
APPROVED = """
level: enforce
stages: {Staging: {}, Production: {approval_required: {approvals: 1, not_the_requester: true}}}
"""
ROLLBACK = (
    "rollback:requested", "rollout:started", "deployment:committed", "version:archived", "version:quarantined",
    "version:transitioned", "promotion:done",
)  # fmt: skip


def test_it_goes_to_the_last_known_good_and_quarantines_what_it_leaves(world: Make) -> None:
    here = world(OPEN)
    first, second = here.register(), here.register()
    here.served(first, second)
    with here.records(*ROLLBACK):
        assert here.roll_back().state == "done"
    assert here.stages() == {1: "Production", 2: "Archived"}
    assert (here.aliases(first), here.aliases(second)) == (("production",), ())
    quarantine = here.row(second).quarantine
    assert quarantine is not None
    assert quarantine.reason == "it is bad"
    served = here.serving()
    assert served.release is not None
    assert (served.release.ref, served.generation, served.state) == (first, 3, "serving")


def test_it_goes_back_to_the_release_that_served_and_makes_no_new_one(world: Make) -> None:
    here = world(OPEN)
    first, second, third, fourth = (here.register() for _ in range(4))
    here.served(first)
    of_first = here.serving().release
    here.served(second, third)
    assert here.roll_back(to=1).state == "done"
    back = here.serving().release
    assert of_first is not None
    assert back is not None
    assert back.id == of_first.id
    assert back.baked_at is not None
    assert of_first.baked_at is not None
    # it served last again, so it is the last known good, and not the second
    assert back.baked_at > of_first.baked_at
    here.served(fourth)
    assert here.roll_back().ref == first


def test_with_none_left_nothing_changes_and_the_refusal_is_on_the_record(world: Make) -> None:
    here = world(OPEN)
    first, second = here.register(), here.register()
    here.served(first, second)
    here.roll_back()
    before = (here.stages(), here.serving(), here.aliases(first))
    with here.records("rollback:refused"), pytest.raises(Conflict, match="no last known good"):
        here.roll_back()
    assert (here.stages(), here.serving(), here.aliases(first)) == before
    assert here.open() == []


def test_a_version_is_named_only_where_it_served_and_is_not_in_quarantine(world: Make) -> None:
    here = world(OPEN)
    first, second, third, fourth = (here.register() for _ in range(4))
    here.served(first, second, third)
    for version, why in ((3, "already"), (4, "never served"), (9, "never served")):
        with here.records("rollback:refused"), pytest.raises(Conflict, match=why):
            here.roll_back(to=version)
    assert here.roll_back(to=1).state == "done"
    assert here.stages() == {1: "Production", 2: "Archived", 3: "Archived", 4: "None"}
    assert here.row(second).quarantine is None
    assert here.row(fourth).quarantine is None
    with pytest.raises(Conflict, match="quarantined"):
        here.roll_back(to=third.version)
    assert here.roll_back().ref == second


def test_what_it_asks_for_is_checked_first(world: Make) -> None:
    here = world(OPEN)
    here.register()
    with here.records():
        with pytest.raises(BadInput, match="reason"):
            roll_back.ask(here.ports, M, ANA, "  ")
        with pytest.raises(BadInput, match="no environment"):
            here.roll_back(environment="moon")
        with pytest.raises(NotFound):
            roll_back.ask(here.ports, "nobody", ANA, "why not")
    with here.records("rollback:refused"), pytest.raises(Conflict, match="no endpoint"):
        here.roll_back()


def test_it_needs_no_gate_to_hold_today(world: Make) -> None:
    here = world(OPEN)
    here.served(here.register(metrics={"accuracy": 0.8}), here.register())
    here.policy("level: enforce\nstages: {Staging: {}, Production: {min_accuracy: 0.9, previous_stage: Staging}}\n")
    assert here.roll_back().state == "done"
    assert here.stages() == {1: "Production", 2: "Archived"}


def test_it_serves_the_files_of_that_day_even_if_their_source_is_gone(world: Make) -> None:
    here = world(OPEN)
    first, second = here.register(), here.register()
    here.served(first, second)
    digest = here.row(first).digest
    here.artifacts.change("mem:/1", "MLmodel", None)
    assert here.roll_back().state == "done"
    served = here.serving()
    assert served.release is not None
    assert served.release.digest == digest


def test_a_release_that_cannot_be_served_any_more_changes_nothing(world: Make) -> None:
    here = world(OPEN)
    first, second = here.register(), here.register()
    here.served(first, second)
    here.agent.fails[1] = "its library was removed"
    before = here.serving().release
    failed = here.roll_back()
    assert failed.state == "failed"
    assert "its library was removed" in failed.because
    assert here.stages() == {1: "Archived", 2: "Production"}
    assert here.row(second).quarantine is None
    assert here.serving().release == before


def test_a_promotion_that_waits_for_gates_gives_way_to_a_rollback_to_the_same_version(world: Make) -> None:
    here = world(APPROVED)
    first, second = here.register(), here.register()
    for ref in (first, second):
        here.approved(ref)
        here.served(ref)
    here.policy(APPROVED + "governance: {max_production_versions: 1}\n")  # the approvals are stale now
    waiting = here.promote(first, PRODUCTION)
    assert waiting.state == "waiting"
    with here.records("promotion:cancelled", *ROLLBACK):
        ended = here.roll_back()
    assert (ended.state, ended.kind, ended.id == waiting.id) == ("done", Kind.ROLLBACK, False)
    assert promote.look(here.ports, waiting.id).state == "cancelled"
    assert here.stages() == {1: "Production", 2: "Archived"}
    assert here.row(second).quarantine is not None


def test_a_rollout_under_way_is_not_disturbed(world: Make) -> None:
    here = world(OPEN)
    first, second, third = here.register(), here.register(), here.register()
    here.served(first, second)
    opened = here.promote(third, PRODUCTION)
    with pytest.raises(Conflict, match="holds the Production endpoint"):
        here.roll_back()
    assert here.look(opened).state == "done"
    again = here.promote(first, PRODUCTION)
    with pytest.raises(Conflict, match="holds fraud@1"):
        here.roll_back(to=1)
    assert here.look(again).state == "done"


def test_the_version_it_leaves_counts_against_no_limit_and_is_archived_once(world: Make) -> None:
    here = world(OPEN + "governance: {max_production_versions: 2, evict: oldest}\n")
    refs = [here.register() for _ in range(3)]
    for ref in refs:
        here.done(ref, PRODUCTION, archive_existing=False)
        here.clock.forward(seconds=1)
    assert here.stages() == {1: "Archived", 2: "Production", 3: "Production"}
    with here.records(*ROLLBACK):
        assert here.roll_back(to=1).state == "done"
    assert here.stages() == {1: "Production", 2: "Production", 3: "Archived"}


def test_asking_twice_is_one_rollback(world: Make) -> None:
    here = world(OPEN)
    here.served(here.register(), here.register())
    opened = roll_back.ask(here.ports, M, ANA, "it is bad")
    with here.records():
        assert roll_back.ask(here.ports, M, BEN, "it is bad!").id == opened.id
    assert here.look(opened).state == "done"


def test_staging_can_be_rolled_back_as_well(world: Make) -> None:
    here = world(OPEN)
    first, second = here.register(), here.register()
    for ref in (first, second):
        here.done(ref, STAGING)
        here.clock.forward(seconds=1)
    assert here.roll_back(environment="staging").state == "done"
    assert here.stages() == {1: "Staging", 2: "Archived"}
    assert here.aliases(first) == ("staging",)


def test_staging_is_not_rolled_back_to_the_version_that_is_in_production(world: Make) -> None:
    here = world(OPEN)
    first, second = here.register(), here.register()
    for stage in (STAGING, PRODUCTION):
        here.done(first, stage)
    here.clock.forward(seconds=1)
    here.done(second, STAGING)
    for how, why in (({}, "no last known good"), ({"to": 1}, "is in Production")):
        with here.records("rollback:refused"), pytest.raises(Conflict, match=why):
            here.roll_back(environment="staging", **how)
    assert here.stages() == {1: "Production", 2: "Staging"}


def test_a_quarantined_version_comes_back_only_after_a_fresh_approval(world: Make) -> None:
    here = world(APPROVED)
    first, second = here.register(), here.register()
    for ref in (first, second):
        here.approved(ref)
        here.served(ref)
    here.clock.forward(seconds=1)
    here.roll_back()
    waiting = here.promote(second, PRODUCTION)
    assert waiting.state == "waiting"
    assert "not_quarantined" in waiting.because
    here.clock.forward(seconds=1)
    approve.request(here.ports, second, ANA, "it was the till")
    assert here.look(waiting).state == "waiting"
    approve.decide(here.ports, second, BEN, approved=True, comment="so it was")
    assert here.look(waiting).state == "done"
    assert here.row(second).quarantine is None
    assert here.stages() == {1: "Archived", 2: "Production"}
