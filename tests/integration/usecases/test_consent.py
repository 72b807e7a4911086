"""Plans that are kept to, answers that are taken back, people who stand in, and those who have left."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from lockgate.adapters.policyfile import parse_policy
from lockgate.controller.deadlines import Deadlines
from lockgate.domain.access import Grant, Person, Role
from lockgate.domain.approvals import ApprovalRequest, RequestState
from lockgate.domain.errors import BadInput, Conflict, Forbidden, NotFound, Unauthenticated
from lockgate.domain.identity import PERSON, SERVICE, Who
from lockgate.domain.verdict import Gate
from lockgate.domain.versions import VersionRef
from lockgate.usecases import apply_policy, approve, decide_policy, delegate, plan, promote, withdraw
from tests.integration.usecases.world import ANA, BEN, PRODUCTION, STAGING, M, World

Make = Callable[[str], World]
ASKS = """
level: enforce
stages:
  Staging: {}
  Production:
    min_accuracy: 0.9
    required_tags: [team]
    approval_required: RULE
"""
ONE = ASKS.replace("RULE", "{approvals: 1}")
DANA, LEE, ANA_IN, BEN_IN = (Who(name, verified=True, via="test") for name in ("dana", "lee", "ana", "ben"))
BOSS, SECOND = Who("boss", verified=True, via="test"), Who("second", verified=True, via="test")


def asks(rule: str) -> str:
    return ASKS.replace("RULE", rule)


def gate(here: World, ref: VersionRef) -> Gate:
    found = plan.plan(here.ports, ref, PRODUCTION).verdict.gates
    return next(each for each in found if each.name == "approval_required")


def yes(here: World, ref: VersionRef, who: Who, comment: str = "yes", **more: Any) -> ApprovalRequest:
    return approve.decide(here.ports, ref, who, approved=True, comment=comment, **more)


def people(here: World, **roles: str) -> None:
    """Users of these names, each with a role; `ci_service` is a service account."""
    with here.store.writing(None) as work:
        for name, role in roles.items():
            kind = SERVICE if name.endswith("_service") else PERSON
            work.people.add(Person(name, kind, here.clock.now(), "boss", (Grant(Role(role)),)), BOSS)


def metric(here: World, value: float) -> None:
    with here.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE latest_metrics SET value = {value}")


# --- plans ------------------------------------------------------------------------------------------------------------


def test_an_approval_of_a_plan_is_refused_once_it_is_another_and_says_what_changed(world: Make) -> None:
    here = world(ONE)
    ref = here.register(team="risk")
    made = plan.plan(here.ports, ref, PRODUCTION, keep=True)
    assert plan.kept(here.ports, made.digest[7:19]) == (made.digest, made.parts)
    approve.request(here.ports, ref, ANA, "please")
    metric(here, 0.97)
    with here.records("approval:refused"), pytest.raises(Conflict, match=r"stale: metric accuracy changed from 0\.95"):
        yes(here, ref, BEN, plan=made.digest)
    now = plan.plan(here.ports, ref, PRODUCTION, keep=True)
    with here.records("approval:approved"):
        assert yes(here, ref, BEN, plan=now.digest[7:30]).state is RequestState.APPROVED
    with pytest.raises(BadInput, match="not the digest of a plan"):
        plan.kept(here.ports, "latest")
    with pytest.raises(NotFound, match="No plan 000000000000"):
        plan.kept(here.ports, "0" * 64)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("tag", "tag team changed from risk to fraud"),
        ("policy", "policy changed from"),
        ("release", "workers changed from 1 to 2"),
        ("artifacts", "artifacts"),
    ],
)
def test_a_stale_approval_says_which_part_changed(quick: Make, changed: str, told: str) -> None:
    here = quick(ONE)
    ref = here.register(team="risk")
    here.approved(ref)
    assert gate(here, ref).standing == "holds"
    if changed == "tag":
        with here.store.writing(M) as work:
            work.catalog.set_tag(ref, "team", "fraud")
    elif changed == "artifacts":
        here.artifacts.change("mem:/1", "MLmodel", b"other bytes")
        found = plan.plan(here.ports, ref, PRODUCTION).verdict
        assert found.standing == "fails"
        with pytest.raises(Conflict, match="MLmodel"):
            yes(here, ref, Who("cara"))
        return
    else:
        here.policy(ONE + ('endpoints: {"*": {workers: 2}}\n' if changed == "release" else "max_endpoints: 3\n"))
    found_gate = gate(here, ref)
    assert found_gate.seen == "stale"
    assert told in found_gate.because


def test_a_promotion_bound_to_a_plan_carries_out_that_plan_or_nothing(quick: Make) -> None:
    here = quick(ONE)
    ref = here.register(team="risk")
    made = plan.plan(here.ports, ref, PRODUCTION, keep=True)
    waiting = here.promote(ref, PRODUCTION, plan=made.digest)
    assert waiting.state == "waiting"
    other = plan.plan(here.ports, ref, STAGING, keep=True)
    with pytest.raises(Conflict, match="not bound to that plan"):
        here.promote(ref, PRODUCTION, plan=other.digest)
    metric(here, 0.97)
    here.approved(ref)
    ended = here.look(waiting)
    assert ended.state == "cancelled"
    assert "stale: metric accuracy changed from 0.95 (claimed) to 0.97 (claimed)" in ended.because
    with pytest.raises(Conflict, match="stale"):
        promote.answer(ended)
    assert here.stages() == {1: "None"}
    now = plan.plan(here.ports, ref, PRODUCTION)
    assert here.done(ref, PRODUCTION, plan=now.digest).plan_digest == now.digest


# --- taking back ------------------------------------------------------------------------------------------------------


def test_a_request_is_withdrawn_by_whoever_asked_and_a_yes_by_whoever_gave_it(quick: Make) -> None:
    here = quick(ONE)
    ref = here.register(team="risk")
    approve.request(here.ports, ref, ANA, "please")
    waiting = here.promote(ref, PRODUCTION)
    with pytest.raises(Forbidden, match="it was ana"):
        withdraw.withdraw(here.ports, ref, BEN, "I would rather not")
    yes(here, ref, BEN)
    with here.records("approval:withdrawn"):
        assert withdraw.withdraw(here.ports, ref, BEN, "a mistake").state is RequestState.PENDING
    assert gate(here, ref).standing == "waits"
    assert here.tag(ref, "production_approved") is None
    assert here.look(waiting).state == "waiting"
    with here.records("approval:withdrawn"):
        assert withdraw.withdraw(here.ports, ref, ANA, "not now").state is RequestState.WITHDRAWN
    assert approve.pending(here.ports) == []
    assert "withdrawn: ana: not now" in gate(here, ref).because
    with pytest.raises(Conflict, match="was withdrawn"):
        yes(here, ref, BEN)
    with pytest.raises(BadInput, match="needs a reason"):
        withdraw.withdraw(here.ports, ref, ANA, " ")
    here.approved(ref)
    here.done(ref, PRODUCTION)
    with pytest.raises(Conflict, match="moved to Production already"):
        withdraw.withdraw(here.ports, ref, BEN, "too late")


def test_asking_anew_closes_the_request_before_it(quick: Make) -> None:
    here = quick(ONE)
    ref = here.register(team="risk")
    first = approve.request(here.ports, ref, ANA, "please")
    again = approve.request(here.ports, ref, ANA, "pretty please")
    assert [each.id for each in approve.pending(here.ports)] == [again.id]
    with here.store.reading() as work:
        closed = work.approvals.get(first.id)
    assert closed is not None
    assert closed.state is RequestState.WITHDRAWN


def test_a_rejected_version_is_archived_with_the_no_unless_it_is_in_production(quick: Make) -> None:
    here = quick(ONE)
    first, second = here.register(team="risk"), here.register(team="risk")
    here.done(first, STAGING)
    waiting = here.promote(first, PRODUCTION)
    approve.request(here.ports, first, ANA, "please")
    actions = ("approval:rejected", "promotion:cancelled", "promotion:requested", "version:transitioned")
    with here.records(*actions, "promotion:done"):
        approve.decide(here.ports, first, BEN, approved=False, comment="too slow", archive=True)
    assert here.stages() == {1: "Archived", 2: "None"}
    assert here.look(waiting).state == "cancelled"
    here.approved(second)
    here.done(second, PRODUCTION)
    approve.request(here.ports, second, ANA, "again")
    with here.records("approval:refused"), pytest.raises(Conflict, match="is in Production"):
        approve.decide(here.ports, second, BEN, approved=False, comment="too slow", archive=True)
    assert here.stages() == {1: "Archived", 2: "Production"}


# --- time -------------------------------------------------------------------------------------------------------------


def test_a_yes_grows_old_and_can_be_given_again(quick: Make) -> None:
    here = quick(asks("{expires: 7d, reason_required: true}"))
    ref = here.register(team="risk")
    approve.request(here.ports, ref, ANA, "please")
    with pytest.raises(BadInput, match="reason of a yes"):
        yes(here, ref, BEN, "  ")
    yes(here, ref, BEN)
    with pytest.raises(Conflict, match="approved by ben"):
        yes(here, ref, Who("cara"))
    here.clock.forward(days=7)
    assert "it is too old" in gate(here, ref).because
    assert yes(here, ref, BEN).state is RequestState.APPROVED
    assert gate(here, ref).standing == "holds"


def test_a_request_that_nobody_answers_in_time_is_closed_and_told_once(quick: Make) -> None:
    here = quick(asks("{request_expires: 2d}"))
    ref = here.register(team="risk")
    approve.request(here.ports, ref, ANA, "please")
    Deadlines(here.ports).look()
    here.clock.forward(days=2)
    with here.records("approval:refused"), pytest.raises(Conflict, match="not answered in time"):
        yes(here, ref, BEN)
    with here.records("approval:expired"):
        Deadlines(here.ports).look()
        Deadlines(here.ports).look()
    assert approve.pending(here.ports) == []
    assert gate(here, ref).seen == "expired"
    here.approved(ref)
    assert gate(here, ref).standing == "holds"


def test_a_clock_that_goes_backwards_lets_nobody_in(quick: Make) -> None:
    here = quick(ONE)
    ref = here.register(team="risk")
    approve.request(here.ports, ref, ANA, "please")
    here.clock.forward(hours=5)
    yes(here, ref, BEN)
    here.clock.forward(hours=-5)
    assert "the clock was set back" in gate(here, ref).because
    assert here.promote(ref, PRODUCTION).state == "waiting"
    here.clock.forward(hours=5)
    assert gate(here, ref).standing == "holds"


def test_what_was_rolled_back_needs_a_yes_from_after_it_whatever_the_clock_says(quick: Make) -> None:
    here = quick(ONE)
    first, second = here.register(team="risk"), here.register(team="risk")
    for ref in (first, second):
        here.approved(ref)
    here.served(first, second)
    here.clock.forward(hours=5)
    yes_before = approve.request(here.ports, second, ANA, "again")
    yes(here, second, BEN)
    here.clock.forward(hours=-4)  # the clock was wrong, and is put right: that yes lies in the future
    here.roll_back()
    here.clock.forward(days=1)
    with here.store.reading() as work:
        found = work.approvals.get(yes_before.id)
    assert found is not None
    assert found.decisions[0].withdrawn_because.startswith("it was rolled back")
    assert found.state is RequestState.WITHDRAWN
    assert here.tag(second, "production_approved") is None
    assert here.promote(second, PRODUCTION).state == "waiting"
    here.approved(second)
    here.done(second, PRODUCTION)


# --- people -----------------------------------------------------------------------------------------------------------


def test_an_approver_who_left_or_lost_the_role_counts_no_longer(world: Make) -> None:
    here = world(ONE)
    people(here, ana="contributor", ben="approver", boss="admin", eve="viewer")
    ref = here.register(team="risk")
    approve.request(here.ports, ref, ANA_IN, "please")
    with here.records("approval:refused"), pytest.raises(Forbidden, match="takes the role approver or admin"):
        yes(here, ref, Who("eve", verified=True))
    with pytest.raises(Unauthenticated):
        yes(here, ref, BEN)
    yes(here, ref, BEN_IN)
    assert gate(here, ref).standing == "holds"
    with here.store.writing(None) as work:
        work.people.revoke("ben", Grant(Role.APPROVER))
        work.people.grant("ben", Grant(Role.VIEWER), BOSS, here.clock.now())
    assert "ben has not the role to approve any more" in gate(here, ref).because
    with here.store.writing(None) as work:
        work.people.grant("ben", Grant(Role.APPROVER), BOSS, here.clock.now())
    assert gate(here, ref).standing == "holds"
    with here.store.writing(None) as work:
        work.people.set_disabled("ben", here.clock.now())
    assert "ben is no user with a role here any more" in gate(here, ref).because
    assert here.promote(ref, PRODUCTION).state == "waiting"


def test_nobody_approves_their_own_request_administrators_included_by_whatever_token(quick: Make) -> None:
    here = quick(ONE)
    people(here, boss="admin", ci_service="contributor")
    ref = here.register(team="risk")
    approve.request(here.ports, ref, BOSS, "please")
    for who in (BOSS, Who("boss", verified=True, via="api", token="tok-2"), Who("Boss", verified=True)):
        with pytest.raises(Forbidden):
            yes(here, ref, who)
    with pytest.raises(Forbidden, match="takes a person"):
        yes(here, ref, Who("ci_service", verified=True, kind=SERVICE))
    assert gate(here, ref).standing == "waits"


def test_teams_must_each_agree_and_one_person_is_one(quick: Make) -> None:
    here = quick(asks("{teams: [{role: approver, approvals: 1}, {people: [dana, lee], approvals: 1}]}"))
    people(here, ana="contributor", dana="approver", lee="approver", ben="approver")
    ref = here.register(team="risk")
    approve.request(here.ports, ref, ANA_IN, "please")
    assert yes(here, ref, DANA).state is RequestState.PENDING
    assert "still missing: 1 of" in gate(here, ref).because
    assert yes(here, ref, BEN_IN).state is RequestState.APPROVED
    assert gate(here, ref).standing == "holds"


def test_who_stands_in_answers_for_the_one_they_stand_in_for_and_for_nobody_else(quick: Make) -> None:
    here = quick(asks("{approvals: 2}"))
    with pytest.raises(Conflict, match="no users yet"):
        delegate.give(here.ports, BEN, "dana", here.clock.now() + timedelta(days=1), "holiday")
    people(here, ana="contributor", ben="approver", dana="viewer", lee="viewer", cara="approver")
    until = here.clock.now() + timedelta(days=7)
    ref = here.register(team="risk")
    approve.request(here.ports, ref, ANA_IN, "please")
    with pytest.raises(Forbidden):
        yes(here, ref, DANA)
    given = delegate.give(here.ports, BEN_IN, "dana", until, "holiday")
    with pytest.raises(Forbidden, match="own role can be delegated"):
        delegate.give(here.ports, DANA, "lee", until, "passing it on")
    with here.records("approval:approved"):
        answered = yes(here, ref, DANA)
    assert str(answered.decisions[-1]) == "dana for ben"
    assert here.recorded("approval:approved")[-1].plain["detail"]["for"] == "ben"  # type: ignore[index,call-overload]
    with pytest.raises(Conflict, match="dana for ben has approved"):
        yes(here, ref, BEN_IN)
    assert yes(here, ref, Who("cara", verified=True)).state is RequestState.APPROVED
    delegate.end(here.ports, given.id, BEN_IN)
    assert gate(here, ref).standing == "holds"  # what was answered by it stands
    with here.store.writing(None) as work:
        work.people.set_disabled("ben", here.clock.now())
    assert "ben has not the role" in gate(here, ref).because
    with pytest.raises(Conflict, match="over already"):
        delegate.end(here.ports, given.id, DANA)


def test_a_delegation_is_given_by_an_approver_to_another_person_for_a_while(quick: Make) -> None:
    here = quick(ONE)
    people(here, ben="approver", dana="viewer", ci_service="contributor")
    now = here.clock.now()
    wrong: list[tuple[str, datetime, str]] = [
        ("dana", now, "over at once"),
        ("dana", now + timedelta(days=91), "too long"),
        ("ben", now + timedelta(days=1), "myself"),
        ("ci_service", now + timedelta(days=1), "a program"),
        ("dana", now + timedelta(days=1), " "),
    ]
    for to, until, reason in wrong:
        with pytest.raises(BadInput):
            delegate.give(here.ports, BEN_IN, to, until, reason)
    with pytest.raises(NotFound):
        delegate.give(here.ports, BEN_IN, "nobody", now + timedelta(days=1), "gone")
    assert delegate.listed(here.ports) == []


def test_the_stand_in_of_the_requester_is_the_requester(quick: Make) -> None:
    here = quick(ONE)
    people(here, boss="admin", dana="viewer")
    ref = here.register(team="risk")
    approve.request(here.ports, ref, BOSS, "please")
    delegate.give(here.ports, BOSS, "dana", here.clock.now() + timedelta(days=1), "holiday")
    with pytest.raises(Forbidden, match="requester's own"):
        yes(here, ref, DANA)


# --- races, replays, and many -----------------------------------------------------------------------------------------


def test_two_approvals_at_once_are_both_counted_and_only_one_makes_it_enough(world: Make) -> None:
    here = world(asks("{approvals: 2}"))
    ref = here.register(team="risk")
    approve.request(here.ports, ref, ANA, "please")
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda who: yes(here, ref, who).state, (BEN, Who("cara", via="test"))))
    assert sorted(found) == [RequestState.APPROVED, RequestState.PENDING]
    assert len(here.recorded("approval:approved")) == 2
    assert gate(here, ref).standing == "holds"


def test_an_old_approval_cannot_be_replayed_on_another_version_or_request(quick: Make) -> None:
    here = quick(ONE)
    first, second = here.register(team="risk"), here.register(team="risk")
    made = plan.plan(here.ports, first, PRODUCTION, keep=True)
    here.approved(first)
    approve.request(here.ports, second, ANA, "please")
    with pytest.raises(Conflict, match="version changed from fraud@1 to fraud@2"):
        yes(here, second, BEN, plan=made.digest)
    approve.request(here.ports, first, ANA, "again")
    assert gate(here, first).standing == "waits"  # a new request starts without the old one's answers


def test_names_of_any_letters_stand_as_they_are(world: Make) -> None:
    here = world(ONE)
    ref = here.register(team='O\'Brien "ß" 模型')
    odd = Who('Zoë O\'Brien "模"; DROP TABLE x --', via="test")
    approve.request(here.ports, ref, odd, "line one\nline two 'quoted' \"twice\" ☃")
    with pytest.raises(Forbidden):
        yes(here, ref, Who('ZOË O\'Brien "模"; drop table x --', via="test"))
    assert yes(here, ref, BEN, "näherungsweise\n'ja'").state is RequestState.APPROVED
    found = approve.pending(here.ports)
    assert found == []
    with here.store.reading() as work:
        kept = work.approvals.latest(ref, PRODUCTION)
    assert kept is not None
    assert (kept.asked_by, kept.decisions[0].comment) == (odd, "näherungsweise\n'ja'")


# --- who leaves, and the policy's second person -----------------------------------------------------------------------


def test_the_version_that_leaves_a_full_stage_can_be_named(quick: Make) -> None:
    here = quick("level: enforce\nstages: {Staging: {}, Production: {}}\ngovernance: {max_production_versions: 2}")
    refs = [here.register() for _ in range(4)]
    here.done(refs[0], PRODUCTION)
    here.done(refs[1], PRODUCTION, archive_existing=False)
    refused = here.promote(refs[2], PRODUCTION, archive_existing=False)
    assert refused.state == "refused"
    assert refused.verdict is not None
    (found,) = [each for each in refused.verdict.open if each.name == "max_production_versions"]
    assert "fraud@1 would have to leave" in found.because
    assert "lockgate promote fraud@3 --to production --replace 1" in found.next
    here.done(refs[2], PRODUCTION, archive_existing=False, leaves=refs[1])
    assert here.stages() == {1: "Production", 2: "Archived", 3: "Production", 4: "None"}
    assert here.row(refs[1]).quarantine is None
    with pytest.raises(BadInput, match="Version 2 cannot make room"):
        here.promote(refs[3], PRODUCTION, archive_existing=False, leaves=refs[1])


def test_once_there_are_users_a_policy_takes_two_administrators(quick: Make) -> None:
    here = quick(ONE)
    people(here, boss="admin", second="admin", ben="approver")
    stricter = ONE + "max_endpoints: 3\n"
    applied = apply_policy.change(here.ports, stricter, parse_policy, BOSS, "fewer endpoints")
    assert (applied.changed, applied.policy.max_endpoints) == (False, 20)
    proposal = applied.proposal
    assert proposal is not None
    again = apply_policy.change(here.ports, stricter, parse_policy, BOSS)
    assert again.proposal == proposal
    for who in (BOSS, BEN_IN):
        with pytest.raises(Forbidden):
            decide_policy.approve(here.ports, proposal.id, parse_policy, who)
    other = apply_policy.change(here.ports, ONE + "max_endpoints: 4\n", parse_policy, BOSS).proposal
    assert other is not None
    with pytest.raises(Conflict, match="replaced"):
        decide_policy.approve(here.ports, proposal.id, parse_policy, SECOND)
    decide_policy.approve(here.ports, other.id, parse_policy, SECOND, "agreed")
    with here.store.reading() as work:
        assert work.policies.in_force().max_endpoints == 4
    with pytest.raises(Conflict, match="approved already"):
        decide_policy.reject(here.ports, other.id, BOSS, "no")
    # what a start with a policy file does: who is at the machine proposes, and no more
    at_start = apply_policy.apply(here.ports, stricter, parse_policy, Who("root", via="cli"))
    assert at_start.max_endpoints == 4
    with pytest.raises(NotFound):
        decide_policy.look(here.ports, "pol-0")
    assert [each.state for each in decide_policy.listed(here.ports)] == ["open", "approved", "replaced"]
