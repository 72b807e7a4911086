"""Emergencies: two people set the gates aside for one move, a third looks at it, and all of it is on the record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from lockgate.controller.deadlines import Deadlines
from lockgate.domain.access import Grant, Person, Role
from lockgate.domain.break_glass import GlassState
from lockgate.domain.errors import BadInput, Conflict, Forbidden, NotFound
from lockgate.domain.identity import ANONYMOUS, PERSON, Who
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases import approve, break_glass, replay
from tests.integration.usecases.world import ANA, BEN, PRODUCTION, M, World

Make = Callable[[str], World]
STRICT = """
level: enforce
stages:
  Staging: {}
  Production:
    min_accuracy: 0.9
    previous_stage: Staging
    approval_required: {approvals: 2}
governance: {max_production_versions: 1}
"""
CARA = Who("cara", via="test")
HOUR = timedelta(hours=1)


def asked(here: World, ref: VersionRef, who: Who = ANA, length: timedelta = HOUR) -> str:
    return break_glass.ask(here.ports, ref, who, "the till is down", PRODUCTION, length).id


def state(here: World, id: str) -> GlassState:
    return break_glass.look(here.ports, id).state(here.clock.now())


def test_two_people_set_the_gates_aside_and_a_third_looks_at_it(world: Make) -> None:
    here = world(STRICT)
    good, bad = here.register(), here.register(metrics={"accuracy": 0.5})
    here.done(good, Stage.STAGING)
    approve.request(here.ports, good, ANA, "please")
    for who in (BEN, CARA):
        approve.decide(here.ports, good, who, approved=True, comment="yes")
    here.done(good, PRODUCTION)
    assert here.promote(bad, PRODUCTION).state == "refused"
    with here.records("breakglass:asked"):
        id = asked(here, bad)
    assert state(here, id) is GlassState.ASKED
    with here.records("breakglass:refused"), pytest.raises(Forbidden, match="second person"):
        break_glass.confirm(here.ports, id, ANA)
    _, promotion = break_glass.confirm(here.ports, id, BEN)
    ended = here.look(promotion)
    assert (ended.state, ended.kind) == ("done", "break-glass")
    assert here.stages() == {1: "Archived", 2: "Production"}  # the limit of the stage is kept
    used = here.recorded("breakglass:used")[0].plain
    assert used["reason"] == "the till is down"
    detail = used["detail"]
    assert isinstance(detail, dict)
    assert sorted(detail["set aside"]) == ["approval_required", "min_accuracy", "previous_stage"]
    moved = here.recorded("version:transitioned")[-1]
    assert replay.replay(here.ports, moved).agrees
    assert state(here, id) is GlassState.TO_REVIEW
    with pytest.raises(Conflict, match="it was used"):
        break_glass.confirm(here.ports, id, CARA)
    for who in (ANA, BEN):
        with pytest.raises(Forbidden, match="third person"):
            break_glass.review(here.ports, id, who, "fine")
    with pytest.raises(BadInput, match="what was found"):
        break_glass.review(here.ports, id, CARA, " ")
    with here.records("breakglass:reviewed"):
        break_glass.review(here.ports, id, CARA, "it was right, and the model is replaced tomorrow")
    assert state(here, id) is GlassState.REVIEWED
    with pytest.raises(Conflict, match="was reviewed"):
        break_glass.review(here.ports, id, Who("dev"), "again")
    assert [each.id for each in break_glass.listed(here.ports, model=M)] == [id]


def test_a_review_that_nobody_makes_in_time_is_told_once(quick: Make) -> None:
    here = quick(STRICT)
    ref = here.register()
    id = asked(here, ref)
    break_glass.confirm(here.ports, id, BEN)
    here.settle()
    here.clock.forward(hours=47)
    Deadlines(here.ports).look()
    here.clock.forward(hours=1)
    with here.records("breakglass:overdue"):
        Deadlines(here.ports).look()
        Deadlines(here.ports).look()
    assert [each.overdue(here.clock.now()) for each in break_glass.to_review(here.ports)] == [True]
    with here.store.writing(M) as work:
        work.glasses.save(break_glass.look(here.ports, id))
    break_glass.review(here.ports, id, CARA, "late, but fine")
    assert break_glass.to_review(here.ports) == []


def test_what_is_not_confirmed_in_time_is_over_and_what_waits_longer_meets_the_gates_again(quick: Make) -> None:
    here = quick(STRICT)
    first, second = here.register(), here.register()
    id = asked(here, first)
    here.clock.forward(hours=1)
    assert state(here, id) is GlassState.EXPIRED
    with pytest.raises(Conflict, match="not confirmed before"):
        break_glass.confirm(here.ports, id, BEN)
    id = asked(here, second)
    here.agent.idle = True
    _, warming = break_glass.confirm(here.ports, id, BEN)
    assert warming.state == "warming"
    here.clock.forward(hours=2)
    here.agent.idle = False
    ended = here.look(warming)
    assert ended.state in ("refused", "failed", "cancelled")
    assert here.stages() == {1: "None", 2: "None"}
    assert state(here, id) is GlassState.TO_REVIEW
    assert here.recorded("breakglass:used") == []


def test_it_takes_the_place_of_a_promotion_that_waits(quick: Make) -> None:
    here = quick(STRICT)
    ref = here.register()
    here.done(ref, Stage.STAGING)
    waiting = here.promote(ref, PRODUCTION)
    assert waiting.state == "waiting"
    _, promotion = break_glass.confirm(here.ports, asked(here, ref), BEN)
    assert here.look(promotion).state == "done"
    assert here.look(waiting).state == "cancelled"


def test_no_emergency_makes_up_for_files_that_changed(quick: Make) -> None:
    here = quick(STRICT)
    ref = here.register()
    id = asked(here, ref)
    here.artifacts.change("mem:/1", "MLmodel", b"other bytes")
    for attempt in (lambda: asked(here, ref), lambda: break_glass.confirm(here.ports, id, BEN)):
        with pytest.raises(Conflict, match="MLmodel"):
            attempt()
    assert here.stages() == {1: "None"}


def test_only_who_may_break_it_does_and_nobody_without_a_name(quick: Make) -> None:
    here = quick(STRICT)
    ref = here.register()
    with pytest.raises(BadInput, match="takes a name"):
        asked(here, ref, Who(ANONYMOUS))
    for wrong in (timedelta(seconds=5), timedelta(days=2)):
        with pytest.raises(BadInput, match="stays broken"):
            asked(here, ref, length=wrong)
    with pytest.raises(BadInput, match="needs a reason"):
        break_glass.ask(here.ports, ref, ANA, "", PRODUCTION)
    with pytest.raises(BadInput, match="no gates"):
        break_glass.ask(here.ports, ref, ANA, "why", Stage.ARCHIVED)
    with pytest.raises(NotFound):
        break_glass.confirm(here.ports, "brk-0", BEN)
    with pytest.raises(NotFound):
        asked(here, VersionRef(M, 9))
    with here.store.writing(None) as work:
        for name, role in (("ops", Role.OPERATOR), ("con", Role.CONTRIBUTOR), ("app", Role.APPROVER)):
            work.people.add(Person(name, PERSON, here.clock.now(), "boss", (Grant(role),)), ANA)
    ops, con, app = (Who(name, verified=True) for name in ("ops", "con", "app"))
    with here.records("version:pinned", "breakglass:refused"), pytest.raises(Forbidden, match="approver, operator or"):
        asked(here, ref, con)
    id = asked(here, ref, app)
    with pytest.raises(Forbidden):
        break_glass.confirm(here.ports, id, con)
    with here.store.writing(None) as work:
        work.people.set_disabled("app", here.clock.now())
    with pytest.raises(Forbidden, match="takes the role"):
        break_glass.confirm(here.ports, id, ops)  # whoever asked has left
    with here.store.writing(None) as work:
        work.people.set_disabled("app", None)
    _, promotion = break_glass.confirm(here.ports, id, ops)
    assert here.look(promotion).state == "done"
    told = here.recorded("breakglass:confirmed")[-1].plain["detail"]
    assert isinstance(told, dict)
    assert told["unverified"] is False
