"""What a verdict was based on is kept with it, and it comes out the same when it is judged again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.adapters.policyfile import parse_policy
from lockgate.adapters.sql.policies import ParsedPolicies
from lockgate.domain.checks import Check
from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.identity import Who
from lockgate.domain.replay import JUDGED, Replayed
from lockgate.domain.verdict import Standing
from lockgate.usecases.ports import Recorded
from lockgate.usecases.replay import replay
from tests.integration.usecases.world import PRODUCTION, STAGING, M, World

NewWorld = Callable[[str], World]

POLICY = """
endpoints: {"*": {serve: off}}
stages:
  Staging: {}
  Production:
    requires:
      min_accuracy: 0.9
      champion: {accuracy: {tolerance: 0.01, if_no_champion: holds}}
governance: {max_production_versions: 3}
"""


def judged(world: World) -> list[Recorded]:
    """The entries that tell of a verdict, oldest first."""
    return [entry for entry in world.recorded() if entry.plain["action"] in JUDGED]


def agreed(world: World) -> list[Replayed]:
    """All of them judged again: each must agree."""
    again = [replay(world.ports, entry) for entry in judged(world)]
    assert [each.differences for each in again] == [()] * len(again)
    return again


def rewrite(world: World, statement: str) -> None:
    """As somebody does who has the database and no business there."""
    with world.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def named(entry: Recorded) -> object:
    """The digest of the evidence that the entry names."""
    detail = entry.plain["detail"]
    assert isinstance(detail, dict)
    return detail["evidence"]


def test_every_verdict_of_the_record_comes_out_the_same(world: NewWorld) -> None:
    here = world(POLICY)
    first, worse, near = (here.register(metrics={"accuracy": value}) for value in (0.95, 0.91, 0.945))
    for ref in (first, worse, near):
        here.promote(ref, STAGING, archive_existing=False)
        here.promote(ref, PRODUCTION, archive_existing=False)

    again = agreed(here)

    told = [(str(each.then.ref), each.then.stage.value, each.now.standing.value) for each in again]
    assert (f"{worse}", "Production", "fails") in told
    assert (f"{near}", "Production", "holds") in told
    assert len(again) == 11  # three into Staging and two into Production, of two entries each, and one refusal
    assert here.stages() == {1: "Production", 2: "Staging", 3: "Production"}


def test_what_is_kept_is_kept_once_and_named_by_the_promotion_and_its_entries(quick: NewWorld) -> None:
    here = quick(POLICY)
    ended = here.promote(here.register(), PRODUCTION)

    (transitioned, done) = judged(here)
    assert ended.evidence_digest == named(transitioned) == named(done)
    with here.store.reading() as work:
        kept = work.evidence.get(ended.evidence_digest)
    assert kept is not None
    assert kept.policy_digest == ended.policy_digest
    assert set(kept.metrics) == {"accuracy"}


def test_a_later_policy_changes_no_verdict_of_the_past(quick: NewWorld) -> None:
    here = quick(POLICY)
    here.promote(here.register(), PRODUCTION)
    here.policy(POLICY.replace("0.9", "0.99"))
    refused = here.promote(here.register(), PRODUCTION)

    assert refused.state == "refused"
    assert [each.now.standing for each in agreed(here)] == [Standing.HOLDS, Standing.HOLDS, Standing.FAILS]


def test_the_built_in_policy_is_known_by_its_digest(quick: NewWorld) -> None:
    here = quick("")
    here.done(here.register(metrics={}), STAGING)

    assert {each.now.would_be for each in agreed(here)} == {Standing.FAILS}


def test_a_rollback_was_judged_on_nothing_and_agrees(quick: NewWorld) -> None:
    here = quick("stages: {Staging: {}, Production: {}}")
    one, two = here.register(), here.register()
    here.served(one, two)
    assert here.roll_back().state == "done"

    assert [each.now.gates for each in agreed(here) if each.then.kind == "rollback"] == [(), ()]


class TestChangedBehindTheServer:
    def test_changed_evidence_is_found(self, world: NewWorld) -> None:
        here = world(POLICY)
        here.promote(here.register(), PRODUCTION)
        rewrite(here, "UPDATE lockgate_evidence SET text = replace(text, '0.95', '0.99')")

        with pytest.raises(BadInput, match="was changed after it was written"):
            replay(here.ports, judged(here)[0])

    def test_evidence_that_is_gone_is_told(self, quick: NewWorld) -> None:
        here = quick(POLICY)
        here.promote(here.register(), PRODUCTION)
        rewrite(here, "DELETE FROM lockgate_evidence")

        with pytest.raises(NotFound, match="is not kept any more"):
            replay(here.ports, judged(here)[0])

    def test_a_changed_policy_is_found(self, quick: NewWorld) -> None:
        here = quick(POLICY)
        here.promote(here.register(), PRODUCTION)
        entry = judged(here)[0]
        rewrite(here, "UPDATE lockgate_policies SET text = replace(text, '0.9', '0.1')")
        here.store.parsed = ParsedPolicies(parse_policy)  # as in a process that has not read the text before

        with pytest.raises(BadInput, match=r"The text of the policy .* was changed after it was applied"):
            replay(here.ports, entry)

    def test_a_changed_entry_is_found(self, quick: NewWorld) -> None:
        here = quick(POLICY)
        here.promote(here.register(), PRODUCTION)
        rewrite(here, "UPDATE lockgate_audit SET text = replace(text, 'holds', 'fails')")
        with here.store.reading() as work:
            entry = next(e for e in work.record.read(model=M) if e.plain["action"] == "promotion:done")

        with pytest.raises(BadInput, match="was changed after it was written"):
            replay(here.ports, entry)


def test_a_check_from_outside_is_waited_for_and_counts_for_these_files(quick: NewWorld) -> None:
    here = quick("stages: {Staging: {}, Production: {checks: [ci]}}\nendpoints: {'*': {serve: off}}")
    ref = here.register()
    waiting = here.promote(ref, PRODUCTION)
    assert waiting.state == "waiting"

    with here.store.writing(M) as work:
        row = work.versions.get(ref)
        assert row is not None
        assert row.digest is not None
        work.checks.add(ref, Check("ci", True, Who("bot", kind="service"), here.clock.now(), row.digest))
        work.promotions.due(M, here.clock.now())

    assert here.look(waiting).state == "done"
    (evidence, *_) = [each.evidence for each in agreed(here)]
    assert [check.who.name for check in evidence.checks] == ["bot"]


def test_a_validation_that_is_too_old_is_run_again(world: NewWorld) -> None:
    tests = "validation_tests: {tests: [schema_test], max_age: 30d}"
    here = world(f"stages: {{Staging: {{}}, Production: {{{tests}}}}}\nendpoints: {{'*': {{serve: off}}}}")
    ref = here.register()
    here.done(ref, PRODUCTION)
    here.done(ref, STAGING)
    here.clock.forward(days=31)
    here.done(ref, PRODUCTION)

    with here.store.reading() as work:
        assert len(work.validations.of_model(M)) == 2
    agreed(here)


def test_the_newcomer_is_compared_with_the_primary_of_production(quick: NewWorld) -> None:
    here = quick(POLICY)
    good, bad = here.register(metrics={"accuracy": 0.99}), here.register(metrics={"accuracy": 0.91})
    here.done(good, PRODUCTION)
    refused = here.promote(bad, PRODUCTION)

    assert refused.because == "champion:accuracy: accuracy is 0.91, below 0.98: fraud@1 has 0.99"


def test_a_clock_that_was_set_back_lets_nobody_through(quick: NewWorld) -> None:
    soaked = "Production: {staging_duration_hours: 1, validation_tests: {tests: [schema_test], max_age: 30d}}"
    here = quick(f"stages: {{Staging: {{}}, {soaked}}}\nendpoints: {{'*': {{serve: off}}}}")
    ref = here.register()
    here.done(ref, STAGING)
    here.clock.forward(hours=-5)
    refused = here.promote(ref, PRODUCTION)

    assert refused.state == "refused"
    assert "it entered Staging at 2026-03-01 12:00:00 UTC, which is 5 h from now" in refused.because
    agreed(here)


def test_names_of_any_kind_are_judged_kept_and_judged_again(quick: NewWorld) -> None:
    metric, tag = "F1-Maß: (macro)", 'O\'Brien "naïve"'
    here = quick(
        "stages:\n  Staging: {}\n  Production:\n    required_tags: [" + repr(tag.replace("'", "")) + "]\n"
        "endpoints: {'*': {serve: off}}"
    )
    ref = here.register(metrics={metric: 0.9}, **{tag.replace("'", ""): "line\none\u2028'\"漢"})

    assert here.done(ref, PRODUCTION).state == "done"
    agreed(here)
