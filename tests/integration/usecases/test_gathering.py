"""What is gathered for a verdict: what some rule looks at, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from lockgate.domain.evidence import Evidence
from lockgate.domain.grades import Grade
from lockgate.domain.versions import VersionRef
from lockgate.usecases.gather import gather, stored_facts
from tests.integration.usecases.world import PRODUCTION, STAGING, World

NewWorld = Callable[[str], World]
UNSERVED = "endpoints: {'*': {serve: off}}\n"


def asking(production: str) -> str:
    return (
        f"{UNSERVED}stages: {{Staging: {{}}, Production: {production}}}\ngovernance: {{max_production_versions: 9}}\n"
    )


def gathered(world: World, ref: VersionRef) -> Evidence:
    with world.store.reading() as work:
        policy, facts = work.policies.in_force(), stored_facts(work, ref)
        return gather(work, policy, ref, PRODUCTION, facts, world.clock.now(), archive_existing=False)


@contextmanager
def tables_read(world: World) -> Iterator[list[str]]:
    """The statements that are run in the block."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(world.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(world.engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("production", "table"),
    [
        ("{min_accuracy: 0.9}", "latest_metrics"),
        ("{max_loss: 1}", "latest_metrics"),
        ("{checks: [ci]}", "lockgate_checks"),
        ("{any_of: {g: [{checks: [ci]}]}}", "lockgate_checks"),
        ("{rules: [{name: a, cel: 'checks.ci'}]}", "lockgate_checks"),
        ("{approval_required: true}", "lockgate_approval_requests"),
    ],
)
def test_what_no_rule_looks_at_is_not_read(quick: NewWorld, production: str, table: str) -> None:
    here = quick(asking(production))
    ref = here.register()
    with tables_read(here) as read:
        gathered(here, ref)
    assert any(table in statement for statement in read)

    here.policy(asking("{}"))
    with tables_read(here) as read:
        found = gathered(here, ref)
    assert not any(table in statement for statement in read)
    assert (found.metrics, found.tags, found.checks, found.champion) == ({}, {}, (), None)


def test_of_tags_and_metrics_those_that_rules_name_are_kept(quick: NewWorld) -> None:
    here = quick(asking("{required_tags: [team], any_of: {g: [{min_f1: 0.5}, {max_loss: 1}]}}"))
    ref = here.register(metrics={"f1": 0.9, "loss": 0.1, "other": 1.0}, team="ml", note="seen")

    found = gathered(here, ref)

    assert found.tags == {"team": "ml"}
    assert set(found.metrics) == {"f1", "loss"}
    assert found.metrics["f1"].at is not None


def test_where_a_metric_is_absent_a_few_others_are_kept_to_name_them(quick: NewWorld) -> None:
    here = quick(asking("{min_f1: 0.5}"))
    ref = here.register(metrics={f"m{number:03}": 1.0 for number in range(100)})

    assert len(gathered(here, ref).metrics) == 20
    assert "there are m000, m001" in here.promote(ref, PRODUCTION).because


def test_a_custom_rule_sees_every_metric_and_tag_when_it_looks_at_them(quick: NewWorld) -> None:
    here = quick(asking("{rules: [{name: a, cel: 'metrics.f1 > 0.5 && tags.team == \"ml\"'}]}"))
    ref = here.register(metrics={"f1": 0.9, "other": 1.0}, team="ml", note="seen")

    found = gathered(here, ref)

    assert (set(found.metrics), found.tags) == ({"f1", "other"}, {"team": "ml", "note": "seen"})


def test_the_champion_is_the_primary_of_the_stage_that_is_compared_with(quick: NewWorld) -> None:
    compared = "champion: {accuracy: higher}"
    here = quick(asking(f"{{{compared}}}"))
    first, second, third = here.register(), here.register(), here.register()
    assert gathered(here, third).champion is None
    here.policy(asking("{}"))
    here.done(first, PRODUCTION, archive_existing=False)
    here.clock.forward(seconds=1)
    here.done(second, PRODUCTION, archive_existing=False)
    here.done(third, STAGING)
    here.policy(asking(f"{{{compared}}}"))

    champion = gathered(here, third).champion
    assert champion is not None
    assert (champion.ref, set(champion.metrics)) == (second, {"accuracy"})
    assert champion.digest == here.row(second).digest

    here.policy(asking(f"{{{compared}, champion_stage: Staging}}"))
    champion = gathered(here, first).champion
    assert champion is not None
    assert champion.ref == third


def test_what_lockgate_measures_itself_nobody_can_claim(quick: NewWorld) -> None:
    here = quick(asking("{max_latency_test.p95_ms: {at_most: 20, grade: measured}}"))
    ref = here.register(metrics={"latency_test.p95_ms": 1.0})
    assert gathered(here, ref).metrics == {}
    here.sandbox.measure("latency_test", p95_ms=30.0)

    refused = here.look(here.promote(ref, PRODUCTION))  # the validation that measures it is run first

    assert refused.because == "max_latency_test.p95_ms: latency_test.p95_ms is 30, above 20"
    measured = gathered(here, ref).metrics["latency_test.p95_ms"]
    assert (measured.value, measured.grade, measured.digest) == (30.0, Grade.MEASURED, here.row(ref).digest)
