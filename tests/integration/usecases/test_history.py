"""Looking back: what was in each stage on a day, what served then, who agreed to it and why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.stages import Stage
from lockgate.usecases import adopt, history, registry
from lockgate.usecases.history import AsOf, InStage, ModelThen
from tests.databases.backends import on_sqlite
from tests.integration.usecases.world import ANA, PRODUCTION, STAGING, M, World

Make = Callable[[str], World]
APPROVED = """
level: enforce
stages: {Staging: {}, Production: {min_accuracy: 0.9, approval_required: {approvals: 1, not_the_requester: true}}}
governance: {max_production_versions: 1}
"""
UNSERVED = (
    "level: enforce\nstages: {Staging: {}, Production: {}}\n"
    'endpoints: {"*": {serve: off}}\ngovernance: {max_production_versions: 5}\n'
)


def begun(world: Make, policy: str) -> World:
    here = world(policy)
    adopt.begin(here.ports)
    here.clock.forward(minutes=1)
    return here


def passes(here: World) -> datetime:
    """This moment, which an hour later is past."""
    now = here.clock.now()
    here.clock.forward(hours=1)
    return now


def then(here: World, at: datetime, model: str | None = None) -> AsOf:
    return history.as_of(here.ports, ANA, at, model)


def only(found: AsOf) -> ModelThen:
    (model,) = found.models
    return model


def in_stage(found: AsOf) -> list[tuple[int, str]]:
    return [(each.version, each.stage.value) for model in found.models for each in model.stages]


def one(found: AsOf) -> InStage:
    (stage,) = only(found).stages
    return stage


def test_each_day_is_told_with_who_agreed_and_why(world: Make) -> None:
    here = begun(world, APPROVED)
    first, second = here.register(), here.register()
    nothing = passes(here)
    here.approved(first)
    here.done(first, PRODUCTION, reason="it is better")
    one_serves = passes(here)
    here.approved(second)
    here.done(second, PRODUCTION)
    other_serves = passes(here)
    here.roll_back()
    back_again = passes(here)

    assert in_stage(then(here, nothing)) == []
    assert in_stage(then(here, one_serves)) == in_stage(then(here, back_again)) == [(1, "Production")]
    assert in_stage(then(here, other_serves)) == [(2, "Production")]
    assert [only(then(here, at)).serving[0].version for at in (one_serves, other_serves, back_again)] == [1, 2, 1]

    told = one(then(here, one_serves))
    assert told.behind is not None
    behind, request = told.behind, told.behind.request
    assert (behind.promotion.asked_by, behind.promotion.reason) == (ANA, "it is better")
    assert behind.promotion.verdict is not None
    assert {gate.name for gate in behind.promotion.verdict.gates} >= {"min_accuracy", "approval_required"}
    assert behind.policy is not None
    assert (behind.policy.digest, behind.policy.text) == (behind.promotion.policy_digest, APPROVED)
    assert request is not None
    assert [(d.who.name, d.comment, d.plan_digest) for d in request.decisions] == [
        ("ben", "yes", behind.promotion.plan_digest)
    ]
    assert one(then(here, back_again)).behind.promotion.kind == "rollback"  # type: ignore[union-attr]


@on_sqlite
def test_an_answer_that_came_after_the_move_is_not_told_as_if_it_had_come_before(world: Make) -> None:
    here = begun(world, UNSERVED)
    first = here.register()
    here.done(first, PRODUCTION)
    at = passes(here)
    here.approved(first)
    assert one(then(here, at)).behind.request is None  # type: ignore[union-attr]


@on_sqlite
def test_a_yes_that_was_taken_back_later_counted_on_its_day(world: Make) -> None:
    here = begun(world, APPROVED)
    first, second = here.register(), here.register()
    for ref in (first, second):
        here.approved(ref)
        here.done(ref, PRODUCTION)
    at = passes(here)
    here.roll_back()
    told = one(then(here, at)).behind
    assert told is not None
    assert told.request is not None
    assert [(each.who.name, each.withdrawn_at) for each in told.request.decisions] == [("ben", None)]


def test_who_was_the_primary_of_several_is_told_by_the_record(world: Make) -> None:
    here = begun(world, UNSERVED)
    first, second = here.register(), here.register()
    here.done(first, PRODUCTION, archive_existing=False)
    here.clock.forward(hours=1)
    here.done(second, PRODUCTION, archive_existing=False)
    at = passes(here)
    assert [(each.version, each.primary) for each in only(then(here, at)).stages] == [(1, False), (2, True)]
    here.done(first, PRODUCTION, archive_existing=False)
    later = passes(here)
    assert [(each.version, each.primary) for each in only(then(here, later)).stages] == [(1, True), (2, False)]
    assert [(each.version, each.primary) for each in only(then(here, at)).stages] == [(1, False), (2, True)]


@on_sqlite
def test_what_served_though_its_version_had_left_the_stage_is_told_as_vacant_until_it_was_retired(world: Make) -> None:
    from lockgate.usecases import retire

    here = begun(world, APPROVED)
    first = here.register()
    here.approved(first)
    here.done(first, PRODUCTION)
    here.done(first, Stage.ARCHIVED)
    vacant = passes(here)
    retire.retire(here.ports, "production", M, ANA)
    retired = passes(here)
    assert [(each.version, each.vacant) for each in only(then(here, vacant)).serving] == [(1, True)]
    assert then(here, retired).models == ()


def test_a_model_is_found_by_the_name_it_had_and_by_the_one_it_has(world: Make) -> None:
    here = begun(world, UNSERVED)
    here.done(here.register(), STAGING)
    before = passes(here)
    with here.store.writing(M, "scams") as work:
        registry.model_renamed(work, registry.Change(M, ANA, here.clock.now()), "scams")
    here.mlflow.rename(M, "scams")
    after = passes(here)

    for asked in (M, "scams", None):
        told = only(then(here, before, asked))
        assert (told.model, told.now, len(told.stages)) == (M, "scams", 1)
    assert only(then(here, after, "scams")).now == ""
    with pytest.raises(NotFound, match=r"No model was called fraud .*called so now"):
        then(here, after, M)


def test_a_model_that_was_deleted_is_still_in_the_past(world: Make) -> None:
    here = begun(world, UNSERVED)
    here.done(here.register(), STAGING)
    before = passes(here)
    with here.store.writing(M) as work:
        registry.model_deleted(work, registry.Change(M, ANA, here.clock.now()))
    here.mlflow.delete(M)
    after = passes(here)
    told = only(then(here, before))
    assert (told.model, [each.version for each in told.stages]) == (M, [1])
    assert told.deleted_at == after
    assert one(then(here, before)).behind is not None
    assert then(here, after).models == ()


@on_sqlite
def test_what_was_there_before_lockgate_is_said_to_be_unknown(world: Make) -> None:
    here = world("")
    here.clock.forward(days=1)
    here.mlflow.version(M, 7, stage="Production", updated=here.clock.now() - timedelta(days=30))
    adopt.begin(here.ports)
    here.clock.forward(hours=1)
    told = one(then(here, here.clock.now()))
    assert (told.version, told.stage, told.behind) == (7, Stage.PRODUCTION, None)
    assert "before Lockgate" in told.unknown


@on_sqlite
def test_a_time_before_the_record_or_in_the_future_is_told_so(world: Make) -> None:
    here = begun(world, UNSERVED)
    here.done(here.register(), STAGING)
    now = here.clock.now()
    with pytest.raises(NotFound, match=r"The record began at 2026-03-01 12:00:00 UTC"):
        then(here, now - timedelta(days=400))
    with pytest.raises(BadInput, match="has not come yet"):
        then(here, now + timedelta(days=1))
    with pytest.raises(NotFound, match="No model was called nothing"):
        then(here, now, "nothing")
    assert in_stage(then(here, now)) == [(1, "Staging")]
