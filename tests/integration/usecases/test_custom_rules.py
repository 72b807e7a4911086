"""Custom rules on the way of a promotion: evaluated outside of every lock, on evidence that is still what it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from threading import Thread

import pytest

from lockgate.adapters.cel.evaluator import CelRules
from lockgate.adapters.policyfile import parse_policy
from lockgate.adapters.sql.store import SqlStore
from lockgate.domain.custom import Seen
from lockgate.domain.errors import BadInput, Conflict, Refused
from lockgate.domain.evidence import CustomResult
from lockgate.domain.verdict import Standing
from lockgate.usecases import apply_policy, plan, promote, status
from lockgate.usecases.custom_rules import TIMES
from tests.databases.backends import on_sqlite
from tests.integration.usecases.world import ANA, BEN, PRODUCTION, STAGING, M, World

Make = Callable[[str], World]

UNSERVED = 'level: enforce\nendpoints: {"*": {serve: off}}\n'
TEN = "[1,2,3,4,5,6,7,8,9,10]"
BOMB = f"{TEN}.map(a,{TEN}.map(b,{TEN}.map(c,{TEN}.map(d,{TEN}.map(e,{TEN}.map(f,a*b)))))).size() > 1"


def asking(rule: str, *, serve: bool = False, more: str = "") -> str:
    """A policy that asks for this rule on the way into Staging."""
    text = "level: enforce\n" if serve else UNSERVED
    return text + f"stages:\n  Staging:\n    rules:\n      - name: mine\n        cel: {rule!r}\n{more}"


CHAMPION = (
    UNSERVED
    + """
stages:
  Staging: {}
  Production:
    rules:
      - name: better_than_champion
        cel: "!champion.present || metrics.f1 >= champion.metrics.f1 - 0.01"
"""
)


@pytest.fixture(scope="module")
def children() -> Iterator[CelRules]:
    rules = CelRules()
    yield rules
    rules.close()


class Between:
    """Evaluates as the real one does, and lets something happen right afterwards, so many times."""

    def __init__(self, rules: CelRules, happens: Callable[[], None], times: int = 1) -> None:
        self._rules, self._happens, self._left = rules, happens, times
        self.asked: list[Seen] = []

    def evaluate(self, rules: Mapping[str, str], seen: Seen) -> Mapping[str, CustomResult]:
        found = self._rules.evaluate(rules, seen)
        self.asked.append(seen)
        if self._left:
            self._left -= 1
            self._happens()
        return found

    def check(self, rule: str) -> tuple:
        return self._rules.check(rule)


@pytest.fixture
def ruled(world: Make, children: CelRules) -> Make:
    def build(policy: str) -> World:
        here = world(policy)
        here.ports = replace(here.ports, custom=children)
        here.ports_of = lambda owner: replace(here.ports, owner=owner)  # type: ignore[method-assign]
        return here

    return build


def nothing() -> None:
    pass


def test_a_true_rule_lets_a_version_through_and_any_other_is_refused_with_its_reason(ruled: Make) -> None:
    here = ruled(asking("metrics.accuracy >= 0.9 && tags.team == 'fraud'"))
    good, poor, bare = (
        here.register(team="fraud"),
        here.register(metrics={"accuracy": 0.5}, team="fraud"),
        here.register(metrics={"f1": 0.9}, team="fraud"),
    )

    assert here.ask(good, STAGING).state == "done"
    with pytest.raises(Refused, match="rule:mine fails: it is false"):
        promote.answer(here.ask(poor, STAGING))
    refused = here.ask(bare, STAGING)
    assert refused.verdict is not None
    assert "metrics.accuracy is not there; there is f1" in refused.because
    assert here.stages() == {1: "Staging", 2: "None", 3: "None"}


@on_sqlite
def test_a_version_is_compared_with_the_champion_by_a_rule(ruled: Make) -> None:
    here = ruled(CHAMPION)
    first, worse, better = (here.register(metrics={"f1": value}) for value in (0.80, 0.75, 0.795))

    assert here.promote(first, PRODUCTION).state == "done"
    assert here.promote(worse, PRODUCTION).state == "refused"
    assert here.promote(better, PRODUCTION).state == "done"


def test_evidence_that_changed_after_the_evaluation_is_judged_again(ruled: Make, children: CelRules) -> None:
    here = ruled(asking("tags.team == 'fraud'"))
    ref = here.register(team="fraud")

    def retag() -> None:
        with here.store.writing(M) as work:
            work.catalog.set_tag(ref, "team", "other")

    between = Between(children, retag)
    here.ports = replace(here.ports, custom=between)

    assert here.ask(ref, STAGING).state == "refused"
    assert [seen.plain["tags"]["team"] for seen in between.asked] == ["fraud", "other"]


@on_sqlite
def test_what_no_rule_reads_may_change_meanwhile(ruled: Make, children: CelRules) -> None:
    here = ruled(asking("metrics.accuracy > 0.5"))
    ref = here.register()

    def retag() -> None:
        with here.store.writing(M) as work:
            work.catalog.set_tag(ref, "note", "changed")
        here.clock.forward(minutes=5)

    between = Between(children, retag)
    here.ports = replace(here.ports, custom=between)

    assert here.ask(ref, STAGING).state == "done"
    assert len(between.asked) == 1


@on_sqlite
def test_evidence_that_keeps_changing_is_a_conflict_for_a_client_and_a_wait_for_who_waits(
    ruled: Make, children: CelRules
) -> None:
    here = ruled(asking("tags.count != ''"))
    plain, patient = here.register(count="0"), here.register(count="0")
    counted = iter(range(1, 100))

    def recount() -> None:
        with here.store.writing(M) as work:
            for ref in (plain, patient):
                work.catalog.set_tag(ref, "count", str(next(counted)))

    between = Between(children, recount, times=TIMES)
    here.ports = replace(here.ports, custom=between)
    asked = here.ask(plain, STAGING)

    with pytest.raises(Conflict, match="kept changing while its custom rules"):
        promote.answer(asked)
    assert len(between.asked) == TIMES
    assert here.recorded("promotion:cancelled")
    assert here.stages() == {1: "None", 2: "None"}

    here.ports = replace(here.ports, custom=Between(children, recount, times=TIMES))
    waiting = here.promote(patient, STAGING)
    assert waiting.because == "the evidence kept changing while its custom rules were evaluated"
    assert waiting.state == "judging"
    here.clock.forward(seconds=2)
    assert here.look(waiting).state == "done"


def test_nothing_is_evaluated_while_a_lock_is_held(ruled: Make, children: CelRules) -> None:
    here = ruled(asking("metrics.accuracy > 0.5", serve=True))
    ref, freely = here.register(), []

    def write_at_once() -> None:
        with here.store.writing(M, "another"):
            freely.append(True)

    between = Between(children, write_at_once, times=100)
    here.ports = replace(here.ports, custom=between)
    opened = here.promote(ref, STAGING)

    assert here.look(opened).state == "done"
    assert len(freely) == len(between.asked) >= 2, "judged when asked for, and again when green was ready"


@on_sqlite
def test_a_rule_is_judged_again_when_green_is_ready(ruled: Make) -> None:
    here = ruled(asking("tags.team == 'fraud'", serve=True))
    ref = here.register(team="fraud")
    opened = here.ask(ref, STAGING)
    assert opened.state == "warming"
    with here.store.writing(M) as work:
        work.catalog.set_tag(ref, "team", "other")

    assert here.look(opened).state == "refused"
    assert here.stages() == {1: "None"}


@on_sqlite
def test_a_bomb_fails_its_own_gate_and_delays_nobody_else(ruled: Make) -> None:
    here = ruled(
        UNSERVED
        + f"""
stages: {{Staging: {{}}}}
models:
  "bomb*":
    stages: {{Staging: {{rules: [{{name: bomb, cel: "{BOMB}"}}]}}}}
  "*":
    stages: {{Staging: {{rules: [{{name: fine, cel: "metrics.accuracy > 0.5"}}]}}}}
"""
    )
    here.mlflow.model("bombed")
    here.mlflow.run("bombed", {"accuracy": 0.9})
    here.mlflow.version("bombed", 1, location="mem:/bombed", run_id="bombed")
    here.artifacts.put("mem:/bombed")
    bombed = replace(here.register(), model="bombed", version=1)
    with here.store.writing("bombed") as work:
        work.versions.add_model("bombed")
        work.versions.register(bombed, ANA, here.clock.now())
    fine = [here.register() for _ in range(3)]
    ends = []

    thread = Thread(target=lambda: ends.append(here.ask(bombed, STAGING)))
    thread.start()
    others = [here.ask(ref, STAGING).state for ref in fine]
    thread.join(30)

    assert others == ["done"] * 3
    assert ends[0].state == "refused"
    assert "took longer than a rule may" in ends[0].because


@on_sqlite
def test_an_approval_holds_while_what_a_rule_reads_stays_and_is_stale_when_it_changes(ruled: Make) -> None:
    here = ruled(
        UNSERVED
        + """
stages:
  Staging: {}
  Production:
    approval_required: true
    rules: [{name: mine, cel: "metrics.accuracy > 0.5 && tags.team == 'fraud'"}]
"""
    )
    first, second = here.register(team="fraud"), here.register(team="fraud")
    for ref in (first, second):
        here.approved(ref)

    assert here.ask(first, PRODUCTION).state == "done"
    with here.store.writing(M) as work:
        work.catalog.set_tag(second, "team", "fraud ")
        work.catalog.set_tag(second, "team", "other")
    refused = here.ask(second, PRODUCTION)

    assert refused.verdict is not None
    assert {gate.name: gate.standing for gate in refused.verdict.open} == {
        "rule:mine": Standing.FAILS,
        "approval_required": Standing.WAITS,
        "max_production_versions": Standing.FAILS,
    }


@on_sqlite
def test_plan_and_status_show_what_a_rule_says_and_change_nothing(ruled: Make) -> None:
    here = ruled(asking("metrics.accuracy > 0.99"))
    ref = here.register()

    with here.records("version:pinned"):
        planned = plan.plan(here.ports, ref, STAGING)
    (gate,) = planned.verdict.open
    (version,) = status.of_model(here.ports, M).versions

    assert (gate.name, gate.because) == ("rule:mine", "it is false")
    assert [missing.because for missing in version.missing] == ["it is false"]


@on_sqlite
def test_a_process_without_an_evaluator_says_no(world: Make) -> None:
    here = world(asking("true"))

    assert "nothing here can evaluate" in here.ask(here.register(), STAGING).because


@on_sqlite
def test_a_rollback_evaluates_nothing(ruled: Make, children: CelRules) -> None:
    here = ruled(CHAMPION.replace(UNSERVED, "level: enforce\n"))
    first, second = here.register(metrics={"f1": 0.8}), here.register(metrics={"f1": 0.9})
    here.served(first, second)
    between = Between(children, nothing)
    here.ports = replace(here.ports, custom=between)

    assert here.roll_back().state == "done"
    assert between.asked == []


def test_several_servers_judge_by_the_newest_policy_row(ruled: Make, children: CelRules) -> None:
    here = ruled(asking("metrics.accuracy > 0.99"))
    other = SqlStore(here.engine, parse_policy, clock=here.clock)
    theirs = replace(here.ports, store=other)
    ref = here.register()
    assert plan.plan(theirs, ref, STAGING).verdict.standing is Standing.FAILS

    here.policy(asking("metrics.accuracy > 0.5"))

    assert plan.plan(theirs, ref, STAGING).verdict.standing is Standing.HOLDS
    with other.reading() as work:
        assert work.policies.in_force().digest == plan.plan(here.ports, ref, STAGING).policy_digest


@on_sqlite
def test_applying_a_broken_policy_names_the_line_of_the_rule_and_changes_nothing(
    ruled: Make, children: CelRules
) -> None:
    here = ruled(asking("true"))
    text = (
        UNSERVED
        + "stages:\n  Staging:\n    rules:\n      - name: mine\n        cel: |\n"
        + "          true &&\n          metric.f1 > 0.5\n"
    )

    def parse(text: str | None):
        return parse_policy(text, check_rule=children.check)

    with pytest.raises(BadInput, match=r"lockgate.yaml:9: .*metric is not known in a rule; did you mean metrics"):
        apply_policy.apply(here.ports, text, parse, BEN)
    assert here.ask(here.register(), STAGING).state == "done"
