"""Approvals sign a plan: who may, when they count, and what makes them stale."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from lockgate.domain.approvals import RequestState
from lockgate.domain.audit import Entry
from lockgate.domain.errors import BadInput, Conflict, Forbidden, NotFound
from lockgate.domain.identity import ANONYMOUS, Who
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Gate
from lockgate.domain.versions import VersionRef
from lockgate.usecases import approve, plan, validate
from tests.integration.usecases.world import ANA, BEN, PRODUCTION, STAGING, M, World

Make = Callable[[str], World]
APPROVED = """
level: enforce
stages:
  Staging: {}
  Production:
    min_accuracy: 0.9
    required_tags: [team]
    approval_required: {approvals: 1, not_the_requester: true}
"""
TESTED = """
level: enforce
stages:
  Staging: {}
  Production:
    validation_tests: [schema_test]
    approval_required: {approvals: 1, not_the_requester: true}
"""
CARA, NOBODY = Who("cara", via="test"), Who(ANONYMOUS, via="mlflow")


def gate(here: World, ref: VersionRef) -> Gate:
    found = plan.plan(here.ports, ref, PRODUCTION).verdict.gates
    return next(each for each in found if each.name == "approval_required")


def test_a_yes_by_another_person_opens_the_gate_and_each_act_is_one_entry(world: Make) -> None:
    here = world(APPROVED)
    first = here.register(team="risk")
    plan.plan(here.ports, first, PRODUCTION)
    assert gate(here, first).standing == "waits"
    with here.records("approval:requested"):
        approve.request(here.ports, first, ANA, "please")
    assert [each.ref for each in approve.pending(here.ports)] == [first]
    with here.records("approval:approved"):
        assert approve.decide(here.ports, first, BEN, approved=True, comment="yes").state is RequestState.APPROVED
    assert gate(here, first).standing == "holds"
    assert approve.pending(here.ports) == []
    told = json.loads(here.tag(first, "approval_request") or "")
    assert (told["status"], told["requester"], told["approved_by"]) == ("approved", "ana", "ben")
    assert here.tag(first, "production_approved") == "true"


def test_nobody_approves_their_own_request_and_the_attempt_is_on_the_record(world: Make) -> None:
    here = world(APPROVED)
    first = here.register(team="risk")
    approve.request(here.ports, first, ANA, "please")
    with here.records("approval:refused"), pytest.raises(Forbidden, match="may not approve"):
        approve.decide(here.ports, first, ANA, approved=True, comment="me")
    assert gate(here, first).standing == "waits"
    assert here.tag(first, "production_approved") is None


def test_whoever_asked_may_take_it_back(world: Make) -> None:
    here = world(APPROVED)
    first = here.register(team="risk")
    approve.request(here.ports, first, ANA, "please")
    assert approve.decide(here.ports, first, ANA, approved=False, comment="not yet").state is RequestState.REJECTED
    assert gate(here, first).standing == "fails"


@pytest.mark.parametrize("changed", ["metric", "tag", "policy"])
def test_an_approval_is_stale_once_what_it_signed_has_changed(world: Make, changed: str) -> None:
    here = world(APPROVED)
    first = here.register(team="risk")
    here.approved(first)
    assert gate(here, first).standing == "holds"
    if changed == "metric":
        with here.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE latest_metrics SET value = 0.97")
    elif changed == "tag":
        with here.store.writing(M) as work:
            work.catalog.set_tag(first, "team", "another")
    else:
        here.policy(APPROVED + "max_endpoints: 3\n")
    found = gate(here, first)
    assert (found.standing, found.seen) == ("waits", "stale")
    here.approved(first)
    assert gate(here, first).standing == "holds"


def test_a_new_validation_with_another_outcome_makes_it_stale(world: Make) -> None:
    here = world(TESTED)
    first = here.register()
    approve.request(here.ports, first, ANA, "please")  # runs the validation that would come later anyway
    with here.records("approval:refused"), pytest.raises(Conflict, match="still running"):
        approve.decide(here.ports, first, BEN, approved=True, comment="yes")
    here.settle()
    approve.decide(here.ports, first, BEN, approved=True, comment="yes")
    assert gate(here, first).standing == "holds"
    validate.ask(here.ports, first, ANA)
    here.settle()
    assert gate(here, first).standing == "holds"  # the same outcome is the same evidence
    here.sandbox.fail("schema_test", "a column is missing")
    validate.ask(here.ports, first, ANA)
    here.settle()
    assert gate(here, first).seen == "stale"


def test_changed_artifacts_can_neither_be_put_up_for_approval_nor_approved(world: Make) -> None:
    here = world(APPROVED)
    first, second = here.register(team="risk"), here.register(team="risk")
    for ref in (first, second):
        approve.request(here.ports, ref, ANA, "please")
    here.artifacts.change("mem:/1", "MLmodel", b"other bytes")
    with pytest.raises(Conflict, match="MLmodel"):
        approve.decide(here.ports, first, BEN, approved=True, comment="yes")
    with pytest.raises(Conflict, match="MLmodel"):
        approve.request(here.ports, first, ANA, "please")
    approve.decide(here.ports, second, BEN, approved=True, comment="yes")
    here.artifacts.change("mem:/2", "MLmodel", b"other bytes")
    assert here.promote(second, PRODUCTION).state == "refused"


def test_a_no_fails_the_promotion_that_waits_and_a_new_request_starts_anew(world: Make) -> None:
    here = world(APPROVED)
    first = here.register(team="risk")
    waiting = here.promote(first, PRODUCTION)
    approve.request(here.ports, first, ANA, "please")
    with here.records("approval:rejected", "promotion:refused"):
        approve.decide(here.ports, first, BEN, approved=False, comment="too slow")
        ended = here.look(waiting)
    assert ended.state == "refused"
    assert "too slow" in ended.because
    with here.records("approval:refused"), pytest.raises(Conflict, match="rejected by ben"):
        approve.decide(here.ports, first, CARA, approved=True, comment="but I like it")
    here.approved(first)
    here.done(first, PRODUCTION)


def test_two_approvals_are_two_people(world: Make) -> None:
    here = world(APPROVED.replace("approvals: 1", "approvals: 2"))
    first = here.register(team="risk")
    approve.request(here.ports, first, ANA, "please")
    waiting = here.promote(first, PRODUCTION)
    for who, state in ((BEN, RequestState.PENDING), (BEN, RequestState.PENDING), (CARA, RequestState.APPROVED)):
        assert approve.decide(here.ports, first, who, approved=True, comment="yes").state is state
        assert here.look(waiting).state == ("done" if state is RequestState.APPROVED else "waiting")


def test_what_nobody_asked_for_or_needs_no_approval_is_told(world: Make) -> None:
    here = world(APPROVED)
    first = here.register(team="risk")
    with pytest.raises(NotFound, match="Nobody has asked"):
        approve.decide(here.ports, first, BEN, approved=True, comment="yes")
    with pytest.raises(BadInput, match="needs no approval"):
        approve.request(here.ports, first, ANA, "please", Stage.ARCHIVED)
    with pytest.raises(NotFound):
        approve.request(here.ports, VersionRef(M, 9), ANA, "please")
    approve.request(here.ports, first, ANA, "please", STAGING)
    assert here.tag(first, "approval_request") is None  # the tags speak of Production alone
    with pytest.raises(NotFound):
        approve.decide(here.ports, first, BEN, approved=True, comment="yes")


def test_the_tags_of_a_script_are_the_same_acts(world: Make) -> None:
    here = world(APPROVED)
    first = here.register(team="risk")
    asked = {"status": "pending", "requester": "dora", "justification": "better"}
    with here.records("version:pinned", "approval:requested"):
        approve.tag_request(here.ports, first, json.dumps(asked), NOBODY)
    entry = here.recorded("approval:requested")[0].plain
    assert Entry.from_plain(entry).who == Who("dora", via="mlflow")
    with pytest.raises(Forbidden):
        approve.tag_request(here.ports, first, json.dumps({"status": "approved", "approved_by": "dora"}), NOBODY)
    with here.records("approval:approved"):
        approve.tag_request(here.ports, first, json.dumps({"status": "approved", "approved_by": "ed"}), NOBODY)
        approve.tag_approved(here.ports, first, "True", NOBODY)  # says again what is so
    assert gate(here, first).standing == "holds"
    here.policy(APPROVED + "max_endpoints: 3\n")
    assert gate(here, first).seen == "stale"
    with here.records("approval:approved"):
        approve.tag_approved(here.ports, first, "true", CARA)  # what was so is so no more
    assert gate(here, first).standing == "holds"
    for wrong in ("yes", "{", "[]", json.dumps({"status": "perhaps"})):
        with here.records(), pytest.raises(BadInput):
            approve.tag_request(here.ports, first, wrong, NOBODY)
    with here.records(), pytest.raises(BadInput):
        approve.tag_approved(here.ports, first, "maybe", NOBODY)
    with here.records("approval:rejected"):
        approve.tag_approved(here.ports, first, "false", CARA)
    assert gate(here, first).standing == "fails"
