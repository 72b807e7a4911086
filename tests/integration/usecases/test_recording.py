"""Nothing of what is governed changes without an entry in the same transaction, and each entry is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.domain.identity import Who
from lockgate.domain.stages import Stage
from lockgate.usecases import approve, promote, retire
from tests.databases.backends import on_sqlite
from tests.integration.usecases.recorded import faults, watching
from tests.integration.usecases.world import PRODUCTION, STAGING, M, World

pytestmark = on_sqlite
ANA = Who("ana", False, "cli", address="192.0.2.1", request="req-1")
BEN = replace(ANA, name="ben", address="192.0.2.2", request="req-2")
POLICY = """
level: enforce
stages:
  Staging: {validation_tests: [schema_test]}
  Production: {min_accuracy: 0.9, approval_required: {approvals: 1, not_the_requester: true}}
"""


def test_every_move_is_on_the_record_in_its_own_transaction_with_all_its_fields(
    world: Callable[[str], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = world("")
    with here.store.reading() as work:
        before = len(work.record.read(limit=1000))
    watch = watching(monkeypatch)
    here.policy(POLICY)
    with watch.looking_away():
        first, second, third = here.register(), here.register(), here.register(metrics={"accuracy": 0.5})
    here.done(first, STAGING, who=ANA)
    for ref in (first, second):
        approve.request(here.ports, ref, ANA, "it is better")
        approve.decide(here.ports, ref, BEN, approved=True, comment="so it is")
        here.done(ref, PRODUCTION, who=ANA)
    here.roll_back(who=ANA)
    here.clock.forward(seconds=1)
    approve.request(here.ports, second, ANA, "it was not its fault")
    approve.decide(here.ports, second, BEN, approved=True, comment="agreed")
    here.done(second, PRODUCTION, who=ANA)
    assert here.look(here.ask(third, PRODUCTION, who=ANA)).state == "refused"
    waits = here.promote(third, STAGING, who=ANA)
    promote.cancel(here.ports, waits.id, ANA)
    here.done(second, Stage.ARCHIVED, who=ANA)
    retire.retire(here.ports, "production", M, ANA)

    with here.store.reading() as work:
        entries = work.record.read(limit=1000)
    new = entries[: len(entries) - before]
    policy = [each for each in new if each.plain["action"] == "policy:applied"]
    assert faults(each for each in new if each not in policy) == []
    assert watch.silent == []
    assert watch.looked_at > 30
    assert {str(each.plain["action"]) for each in new} >= {
        *("promotion:requested", "promotion:done", "promotion:refused", "promotion:cancelled"),
        *("version:transitioned", "version:archived", "version:quarantined", "version:unquarantined"),
        *("version:pinned", "rollback:requested", "rollout:started", "deployment:committed", "endpoint:retired"),
        *("approval:requested", "approval:approved", "validation:requested", "validation:passed", "policy:applied"),
    }


def test_a_change_without_an_entry_would_be_seen(
    world: Callable[[str], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = world("")
    first = here.register()
    watch = watching(monkeypatch)
    with here.store.writing(M) as work:
        work.versions.place(first, STAGING, here.clock.now(), None)
    (silent,) = watch.silent
    assert silent >= {"lockgate_versions", "lockgate_stays"}
