"""A long history under another policy: every verdict comes once, and what changes is what must."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.adapters.cel.evaluator import CelRules
from lockgate.adapters.policyfile import parse_policy
from lockgate.domain.errors import BadInput
from lockgate.domain.simulation import UNKNOWN
from lockgate.usecases.custom_rules import NoCustomRules
from lockgate.usecases.simulate import Asked, Rejudged, simulate
from tests.databases.backends import on_sqlite
from tests.integration.usecases.world import STAGING, World

Make = Callable[[str], World]
POLICY = 'level: enforce\nendpoints: {{"*": {{serve: off}}}}\nstages: {{Staging: {{{asked}}}, Production: {{}}}}\n'
ASKED, STRICTER = POLICY.format(asked="min_accuracy: 0.3"), POLICY.format(asked="min_accuracy: 0.7")
RULED = POLICY.format(asked="rules: [{name: a, cel: 'metrics.accuracy >= 0.7 && hours_in_stage >= 0.0'}]")


def lived(world: Make, count: int, policy: str = ASKED) -> tuple[World, dict[int, float]]:
    """So many versions of rising accuracy, each asked for Staging, some of which were refused."""
    here = world(policy)
    accuracies = {}
    for number in range(1, count + 1):
        ref = here.register(metrics={"accuracy": number / count})
        here.clock.forward(seconds=1)
        here.ask(ref, STAGING)
        accuracies[ref.version] = number / count
    return here, accuracies


def every_page(here: World, policy: str, limit: int) -> list[Rejudged]:
    found: list[Rejudged] = []
    after = ""
    while True:
        page = simulate(here.ports, parse_policy(policy), Asked(after=after, limit=limit))
        found += page.rejudged
        if not page.next:
            return found
        after = page.next


def test_every_verdict_comes_once_and_those_between_the_thresholds_would_have_been_others(
    world: Make, rounds: Callable[[int, int], int]
) -> None:
    here, accuracies = lived(world, rounds(25, 400))

    found = every_page(here, STRICTER, limit=7)

    assert [each.promotion.ref.version for each in found] == list(accuracies)
    different = {each.promotion.ref.version for each in found if not each.found.same}
    assert different == {version for version, accuracy in accuracies.items() if 0.3 <= accuracy < 0.7}
    assert all(each.found.same for each in every_page(here, ASKED, limit=50))


@on_sqlite
def test_custom_rules_are_evaluated_on_the_evidence_of_that_day(world: Make) -> None:
    here, _ = lived(world, 10, RULED.replace("0.7", "0.2"))
    rules = CelRules()
    here.ports = replace(here.ports, custom=rules)
    try:
        found = every_page(here, RULED, limit=4)
    finally:
        rules.close()

    # nothing here could evaluate them on that day, and all were refused
    assert [each.found.now for each in found] == ["fails"] * 6 + ["holds"] * 4


@on_sqlite
def test_a_page_ends_early_when_its_rules_take_long_and_the_next_one_goes_on_there(world: Make) -> None:
    here, _ = lived(world, 7, RULED.replace("0.7", "0.2"))

    class Slow(NoCustomRules):
        def evaluate(self, rules, seen):
            here.clock.forward(seconds=5)
            return super().evaluate(rules, seen)

    here.ports = replace(here.ports, custom=Slow())
    page = simulate(here.ports, parse_policy(RULED), Asked(limit=50))

    assert (page.looked_at, page.total) == (2, 7)
    assert [each.promotion.ref.version for each in every_page(here, RULED, limit=50)] == list(range(1, 8))


@on_sqlite
def test_evidence_that_was_changed_in_the_database_is_no_evidence(world: Make) -> None:
    here, _ = lived(world, 3)
    with here.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE lockgate_evidence SET text = replace(text, '0.6666666666666666', '0.9')")

    found = every_page(here, STRICTER, limit=50)

    assert [each.found.now for each in found] == ["fails", UNKNOWN, "holds"]
    assert found[1].found.lacking == ("the evidence, which is not kept as it was",)


@on_sqlite
def test_a_page_after_nothing_is_refused(world: Make) -> None:
    here, _ = lived(world, 1)

    with pytest.raises(BadInput, match="There is no promotion prm-nothing"):
        simulate(here.ports, parse_policy(STRICTER), Asked(after="prm-nothing"))
