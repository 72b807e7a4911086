"""An approver sees the version beside the one it would follow, and what has changed since it was put up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.domain.errors import NotFound
from lockgate.domain.identity import Who
from lockgate.server.api import translate_approvals
from lockgate.usecases import approve, approver_view, plan, withdraw
from lockgate.wire.plain import from_json, to_json
from lockgate.wire.shapes import Who as WireWho
from tests.integration.usecases.world import ANA, BEN, PRODUCTION, World

POLICY = """
level: enforce
stages:
  Staging: {}
  Production:
    min_accuracy: 0.5
    validation_tests: [schema_test]
    approval_required: {approvals: 2, request_expires: 7d}
endpoints: {"*": {workers: 3, timeout: 5s}}
"""


def test_everything_an_approver_asks_is_on_one_page(quick: Callable[[str], World]) -> None:
    here = quick(POLICY)
    old = here.register(metrics={"accuracy": 0.9, "loss": 0.2}, team="risk")
    new = here.register(metrics={"accuracy": 0.93, "f1": None}, team="risk")
    approve.request(here.ports, old, ANA, "first")
    here.settle()
    for who in (BEN, Who("cara")):
        approve.decide(here.ports, old, who, approved=True, comment="yes")
    here.done(old, PRODUCTION)
    asked = approve.request(here.ports, new, ANA, "better")
    here.settle()
    here.sandbox.fail("latency_test", "too slow")
    approve.decide(here.ports, new, BEN, approved=True, comment="looks right")
    withdraw.withdraw(here.ports, new, BEN, "wait")
    approve.decide(here.ports, new, Who("cara"), approved=True, comment="I still like it")
    with here.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE latest_metrics SET value = 0.94 WHERE run_uuid = 'run2' AND key = 'accuracy'"
        )
    found = approver_view.view(here.ports, asked.id)
    assert found.champion is not None
    assert (found.champion.ref, found.candidate.ref) == (old, new)
    beside = {each.name: (each.candidate, each.champion) for each in found.metrics}
    assert beside["accuracy"] == (0.94, 0.9)
    assert beside["loss"] == (None, 0.2)
    deltas = {each.name: each.delta for each in found.metrics}
    assert deltas["accuracy"] == pytest.approx(0.04)
    assert (deltas["loss"], deltas["f1"]) == (None, None)
    assert "metric accuracy" in [each.part for each in found.changed]
    assert found.counted == ()
    assert [because.split(":")[0] for _, because in found.ignored] == ["it was taken back", "it is of an earlier plan"]
    assert found.missing == ("2 more approvals",)
    assert found.plan.leavers == (old,)
    assert (found.plan.release and found.plan.release.workers) == 3
    assert plan.kept(here.ports, found.plan.digest)[1] == found.plan.parts
    sent = translate_approvals.view(found)
    again = from_json(type(sent), to_json(sent))
    assert again.request.asked_by == WireWho("ana", via="test")
    assert again.expires_at is not None
    assert {each.name: each.delta for each in again.metrics}["f1"] is None
    with pytest.raises(NotFound):
        approver_view.view(here.ports, "apr-0")
