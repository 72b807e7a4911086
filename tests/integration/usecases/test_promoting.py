"""Asking for a move: joining, conflicts, waiting, judging again, and what is left on the record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread

import pytest

from lockgate.domain.audit import Entry
from lockgate.domain.errors import BadInput, Conflict, Failed, NotFound, Refused, Waits
from lockgate.domain.identity import Who
from lockgate.domain.promotion import Kind
from lockgate.domain.serving import EndpointState
from lockgate.domain.stages import Stage
from lockgate.domain.verdict import Standing
from lockgate.domain.versions import VersionRef
from lockgate.usecases import plan, promote, retire, validate
from lockgate.usecases.advance import advance
from lockgate.usecases.ports import LostClaim
from tests.integration.usecases.world import ANA, BEN, PRODUCTION, STAGING, M, World

Make = Callable[[str], World]
LEASE = timedelta(seconds=10)
OPEN = "level: enforce\nstages: {Staging: {}, Production: {}}\n"  # nothing is asked of a version
ACCURATE = "level: enforce\nstages: {Staging: {min_accuracy: 0.9, required_tags: [team]}, Production: {}}\n"
TESTED = "level: enforce\nstages: {Staging: {validation_tests: [schema_test]}, Production: {}}\n"
APPROVED = """
level: enforce
stages: {Staging: {}, Production: {approval_required: {approvals: 1, not_the_requester: true}}}
"""
SOAKED = "level: enforce\nstages: {Staging: {}, Production: {previous_stage: Staging, staging_duration_hours: 60s}}\n"
LIMITED = OPEN + "governance: {max_production_versions: 1}\n"
UNSERVED = OPEN + 'endpoints: {"*": {serve: off}}\n'
ROLLOUT = ("promotion:requested", "rollout:started", "deployment:committed", "version:transitioned", "promotion:done")


def test_a_version_that_may_is_served_and_stage_alias_tag_and_endpoint_agree(world: Make) -> None:
    here = world(OPEN)
    first = here.register()
    with here.records("version:pinned", *ROLLOUT):
        opened = here.promote(first, STAGING)
        assert opened.state == "warming"
        assert here.stages() == {1: "None"}
        assert here.look(opened).state == "done"
    assert here.stages() == {1: "Staging"}
    assert here.aliases(first) == ("staging",)
    assert here.row(first).primary
    assert here.tag(first, "staging_timestamp") is not None
    served = here.serving("staging")
    assert served.release is not None
    assert (served.release.ref, served.release.digest) == (first, here.row(first).digest)
    assert (served.generation, served.acknowledged, served.state) == (1, 1, EndpointState.SERVING)
    promote.answer(here.look(opened))


def test_one_that_is_served_nowhere_is_committed_at_once(world: Make) -> None:
    here = world(UNSERVED)
    first = here.register()
    with here.records("version:pinned", "promotion:requested", "version:transitioned", "promotion:done"):
        assert here.promote(first, PRODUCTION).state == "done"
    assert (here.stages(), here.aliases(first), here.endpoint()) == ({1: "Production"}, ("production",), None)


def test_a_version_without_readable_artifacts_is_refused_where_rules_bind(world: Make) -> None:
    here = world(OPEN)
    first = here.register()
    here.artifacts.change("mem:/1", "MLmodel", None)
    refused = here.promote(first, STAGING)
    assert refused.state == "refused"
    assert "artifacts_pinned" in refused.because
    assert here.stages() == {1: "None"}


def test_the_same_request_joins_the_open_promotion(world: Make) -> None:
    here = world(OPEN)
    first = here.register()
    opened = here.ask(first, STAGING)
    with here.records():
        again = here.ask(first, STAGING, who=BEN)
    assert (again.id, again.asked_by, again.state) == (opened.id, ANA, "warming")
    assert len(here.open()) == 1
    with pytest.raises(Conflict) as going_on:
        promote.answer(again)
    assert going_on.value.promotion == opened.id


def test_one_who_waits_and_joins_a_plain_request_is_kept_waiting_and_not_refused(world: Make) -> None:
    here = world(
        "level: enforce\nstages: {Staging: {}, Production: {validation_tests: [load_test], approval_required: true}}\n"
    )
    first = here.register()
    plain = here.ask(first, PRODUCTION)
    assert (plain.state, plain.lasting) == ("validating", False)
    joined = here.promote(first, PRODUCTION)
    assert (joined.id, joined.lasting) == (plain.id, True)
    assert here.look(joined).state == "waiting"
    here.approved(first)
    assert here.look(joined).state == "done"


def test_requests_at_the_same_moment_make_one_promotion(world: Make) -> None:
    here = world(OPEN)
    first = here.register()
    together, found = Barrier(4), list[str]()

    def ask() -> None:
        together.wait(10)
        found.append(here.ask(first, STAGING).id)

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(here.recorded("promotion:requested")) == 1
    assert len(here.recorded("version:pinned")) == 1


def test_being_there_already_is_done_and_writes_nothing(world: Make) -> None:
    here = world(OPEN)
    first = here.register()
    here.done(first, STAGING)
    with here.records():
        again = here.promote(first, STAGING)
    assert (again.state, again.because) == ("done", "it is there already")
    promote.answer(again)


def test_while_a_rollout_holds_the_endpoint_another_version_is_told_so_at_once(world: Make) -> None:
    here = world(OPEN)
    first, second = here.register(), here.register()
    opened = here.promote(first, STAGING)
    with here.records(), pytest.raises(Conflict, match="holds the Staging endpoint") as held:
        here.promote(second, STAGING)
    assert held.value.promotion == opened.id
    with here.records(), pytest.raises(Conflict, match=f"holds {first}"):
        here.ask(first, Stage.ARCHIVED)
    assert here.promote(second, PRODUCTION).state == "warming"  # another endpoint is another matter
    assert here.look(opened).state == "done"


def test_two_that_waited_move_the_endpoint_one_after_the_other(world: Make) -> None:
    here = world(APPROVED)
    first, second = here.register(), here.register()
    waiting = [here.promote(ref, PRODUCTION) for ref in (first, second)]
    assert [each.state for each in waiting] == ["waiting", "waiting"]
    for ref in (first, second):
        here.approved(ref)
    assert here.look(waiting[0]).state == "done"
    here.clock.forward(seconds=2)
    assert here.look(waiting[1]).state == "done"
    assert here.stages() == {1: "Archived", 2: "Production"}


def test_a_gate_that_waits_ends_a_plain_request_and_holds_a_lasting_one(world: Make) -> None:
    here = world(APPROVED)
    first = here.register()
    with here.records("version:pinned", "promotion:requested", "promotion:refused"):
        plain = here.ask(first, PRODUCTION)
    assert plain.state == "refused"
    with pytest.raises(Waits, match="approval_required") as waits:
        promote.answer(plain)
    assert waits.value.promotion == plain.id
    with here.records("promotion:requested"):
        lasting = here.promote(first, PRODUCTION)
    assert lasting.state == "waiting"
    assert "approval_required" in lasting.because
    here.approved(first)
    assert here.look(lasting).state == "done"


def test_a_gate_that_fails_ends_a_lasting_request_too_and_nothing_moved(world: Make) -> None:
    here = world(ACCURATE)
    first = here.register(metrics={"accuracy": 0.5})
    with here.records("version:pinned", "promotion:requested", "promotion:refused"):
        refused = here.promote(first, STAGING)
    with pytest.raises(Refused) as refusal:
        promote.answer(refused)
    failing = [gate.name for gate in refusal.value.verdict.gates if gate.standing is Standing.FAILS]
    assert failing == ["min_accuracy", "required_tags"]
    entry = here.recorded("promotion:refused")[0].plain
    assert "min_accuracy" in str(entry["reason"])
    assert "required_tags" in str(entry["reason"])
    assert (here.stages(), here.aliases(first), here.endpoint("staging")) == ({1: "None"}, (), None)
    here.settle()
    assert here.open() == []


def test_time_in_staging_comes_from_the_record_and_the_promotion_goes_on_by_itself(world: Make) -> None:
    here = world(SOAKED)
    first = here.register()
    here.done(first, STAGING)
    with pytest.raises(Waits, match="staging_duration_hours"):
        promote.answer(here.ask(first, PRODUCTION))
    lasting = here.promote(first, PRODUCTION)
    here.clock.forward(seconds=30)
    assert here.look(lasting).state == "waiting"
    here.clock.forward(seconds=31)
    assert here.look(lasting).state == "done"


def test_a_move_to_staging_again_does_not_start_the_time_anew(world: Make) -> None:
    here = world(SOAKED)
    first, second = here.register(), here.register()
    here.done(first, STAGING)
    began = here.row(first).since
    here.clock.forward(seconds=50)
    here.done(second, STAGING, archive_existing=False)
    here.done(first, STAGING, archive_existing=False)
    assert here.row(first).since == began
    assert (here.aliases(first), here.aliases(second)) == (("staging",), ())
    here.clock.forward(seconds=15)
    here.done(first, PRODUCTION)


def test_a_missing_validation_is_run_once_and_what_it_found_decides(world: Make) -> None:
    here = world(TESTED)
    first, second = here.register(), here.register()
    opened = here.promote(first, STAGING)
    assert opened.state == "validating"
    joined = validate.ask(here.ports, first, BEN)
    assert joined.id == opened.validation
    assert here.look(opened).state == "done"
    assert len(here.sandbox.requests) == 1
    here.sandbox.fail("schema_test", "a column is missing")
    refused = here.look(here.ask(second, STAGING))
    assert refused.state == "refused"
    assert "a column is missing" in refused.because
    assert here.stages() == {1: "Staging", 2: "None"}


def test_the_end_of_the_validation_wakes_the_promotion_that_waits_for_it(world: Make) -> None:
    here = world(TESTED)
    opened = here.promote(here.register(), STAGING)
    before = here.clock.now()
    assert here.look(opened).state == "done"
    assert here.clock.now() - before < timedelta(seconds=2)


def test_a_validation_that_could_not_be_run_refuses_with_its_reason(world: Make) -> None:
    here = world(TESTED)
    first = here.register()
    opened = here.promote(first, STAGING)
    here.artifacts.change("mem:/1", "MLmodel", b"other bytes")
    refused = here.look(opened)
    assert refused.state == "refused"
    assert "MLmodel" in refused.because
    assert here.stages() == {1: "None"}


def test_where_rules_only_observe_every_gate_is_recorded_and_nothing_is_refused(world: Make) -> None:
    here = world("")  # the built-in policy
    first = here.register(metrics={"accuracy": 0.1})
    ended = here.done(first, PRODUCTION)
    assert ended.verdict is not None
    assert ended.verdict.standing is Standing.HOLDS
    assert ended.verdict.would_be is Standing.FAILS
    assert {gate.name for gate in ended.verdict.open} > {"min_accuracy", "previous_stage", "approval_required"}
    gates = here.recorded("promotion:done")[0].plain["detail"]["gates"]  # type: ignore[index,call-overload]
    assert "min_accuracy" in gates  # type: ignore[operator]
    assert here.stages() == {1: "Production"}


def test_a_green_that_cannot_be_served_leaves_blue_and_every_row_as_they_were(world: Make) -> None:
    here = world(OPEN)
    first, second = here.register(), here.register()
    here.served(first)
    here.agent.fails[2] = "it needs a library nobody has"
    with here.records("version:pinned", "promotion:requested", "rollout:started", "rollout:failed", "promotion:failed"):
        failed = here.look(here.promote(second, PRODUCTION))
    with pytest.raises(Failed, match="a library nobody has"):
        promote.answer(failed)
    served = here.serving()
    assert (here.stages(), here.aliases(first)) == ({1: "Production", 2: "None"}, ("production",))
    assert served.release is not None
    assert (served.release.ref, served.generation, served.candidate) == (first, 1, None)
    assert served.state is EndpointState.SERVING


def test_where_rules_only_observe_it_moves_all_the_same_and_the_endpoint_says_why_it_is_not_served(world: Make) -> None:
    here = world("")
    first, second = here.register(), here.register()
    here.served(first)
    here.agent.fails[2] = "it needs a library nobody has"
    assert here.look(here.promote(second, PRODUCTION)).state == "done"
    served = here.serving()
    assert here.stages() == {1: "Archived", 2: "Production"}
    assert here.aliases(second) == ("production",)
    assert served.release is not None
    assert (served.release.ref, served.state, served.candidate) == (first, EndpointState.DEGRADED, None)
    assert "a library nobody has" in served.because
    assert f"{first} goes on" in served.because


def test_time_in_which_no_controller_ran_is_not_held_against_green(world: Make) -> None:
    here = world(OPEN)
    here.agent.idle = True
    opened = here.promote(here.register(), STAGING)
    here.clock.forward(minutes=10)
    assert here.look(opened).state == "warming"  # `settle` starts a controller, which looks for the first time
    here.agent.idle = False
    assert here.look(opened).state == "done"


def test_a_green_that_never_gets_ready_is_given_up_after_the_policys_limit(world: Make) -> None:
    here = world(OPEN)
    first = here.register()
    here.agent.idle = True
    opened = here.promote(first, STAGING)
    here.settle()
    here.clock.forward(seconds=119)
    assert here.look(opened).state == "warming"
    here.clock.forward(seconds=2)
    claimed = here.queue.claim_promotion("first", LEASE)
    assert claimed is not None
    failed = advance(here.ports, *claimed)
    assert failed.state == "failed"
    assert "did not get ready within 120 s: no agent has reported it" in failed.because


def test_what_changed_while_green_warmed_up_is_judged_again_under_the_lock(world: Make) -> None:
    here = world(ACCURATE)
    first = here.register(team="risk")
    opened = here.promote(first, STAGING)
    assert opened.state == "warming"
    with here.store.writing(M) as work:
        work.catalog.set_tag(first, "team", None)
    with here.records("promotion:refused"):
        ended = here.look(opened)
    assert ended.state == "refused"
    assert "required_tags" in ended.because
    assert here.stages() == {1: "None"}
    assert here.serving("staging").candidate is None


def test_a_policy_that_changed_while_green_warmed_up_is_the_one_that_decides(world: Make) -> None:
    here = world(OPEN)
    first = here.register()
    opened = here.promote(first, PRODUCTION)
    here.policy(APPROVED)
    assert here.look(opened).state == "waiting"
    here.approved(first)
    assert here.look(opened).state == "done"


def test_the_limit_refuses_who_does_not_ask_to_archive_and_archives_for_who_does(world: Make) -> None:
    here = world(LIMITED)
    first, second = here.register(), here.register()
    here.served(first)
    refused = here.promote(second, PRODUCTION, archive_existing=False)
    with pytest.raises(Refused, match="fraud@1 would have to leave"):
        promote.answer(refused)
    with here.records(*ROLLOUT, "version:archived"):
        here.done(second, PRODUCTION)
    assert here.stages() == {1: "Archived", 2: "Production"}
    assert (here.aliases(first), here.aliases(second)) == ((), ("production",))


def test_with_room_for_more_the_latest_is_the_primary_and_the_oldest_leaves(world: Make) -> None:
    here = world(OPEN + "governance: {max_production_versions: 2, evict: oldest}\n")
    refs = [here.register() for _ in range(3)]
    for ref in refs:
        here.done(ref, PRODUCTION, archive_existing=False)
        here.clock.forward(seconds=1)
    assert here.stages() == {1: "Archived", 2: "Production", 3: "Production"}
    assert [here.row(ref).primary for ref in refs] == [False, False, True]
    assert here.aliases(refs[2]) == ("production",)


def test_leaving_a_stage_is_never_gated_and_the_endpoint_is_vacant_until_it_is_retired(world: Make) -> None:
    here = world(APPROVED)
    first = here.register()
    here.approved(first)
    here.done(first, PRODUCTION)
    with pytest.raises(Conflict, match="is in Production"):
        retire.retire(here.ports, "production", M, ANA)
    with here.records("promotion:requested", "version:transitioned", "promotion:done"):
        assert here.ask(first, Stage.ARCHIVED).state == "done"
    vacant = here.serving()
    assert vacant.release is not None
    assert (vacant.state, vacant.release.ref) == (EndpointState.VACANT, first)
    assert (here.stages(), here.aliases(first)) == ({1: "Archived"}, ())
    with here.records("endpoint:retired"):
        retire.retire(here.ports, "production", M, ANA)
    assert here.endpoint() is None
    with pytest.raises(NotFound):
        retire.retire(here.ports, "production", M, ANA)
    here.approved(first)
    here.done(first, PRODUCTION)
    assert here.serving().generation == 1  # another endpoint, from its beginning


def test_the_next_one_in_the_stage_becomes_primary_when_the_primary_leaves(world: Make) -> None:
    here = world(OPEN + "governance: {max_production_versions: 2}\n")
    first, second = here.register(), here.register()
    here.done(first, PRODUCTION)
    here.clock.forward(seconds=1)
    here.done(second, PRODUCTION, archive_existing=False)
    assert here.ask(second, Stage.NONE).state == "done"
    assert (here.stages(), here.aliases(first)) == ({1: "Production", 2: "None"}, ("production",))
    served = here.serving()
    assert served.state is EndpointState.DEGRADED
    assert "the primary of Production is fraud@1" in served.because


def test_setting_a_protected_alias_is_the_same_promotion(world: Make) -> None:
    from lockgate.usecases import registry

    here = world(LIMITED)
    first, second = here.register(), here.register()
    here.served(first)
    with here.store.reading() as work:
        asked = registry.ask_by_alias(work, second, "production", ANA)
        assert registry.ask_by_alias(work, second, "my-own", ANA) is None
    assert asked is not None
    assert here.look(promote.ask(here.ports, asked)).state == "done"
    assert here.stages() == {1: "Archived", 2: "Production"}


def test_a_promotion_can_be_withdrawn_until_it_is_committed(world: Make) -> None:
    here = world(OPEN)
    first = here.register()
    opened = here.promote(first, STAGING)
    with here.records("promotion:cancelled"):
        withdrawn = promote.cancel(here.ports, opened.id, BEN)
    assert (withdrawn.state, here.serving("staging").candidate) == ("cancelled", None)
    with pytest.raises(Conflict, match="cancelled by ben"):
        promote.answer(withdrawn)
    with here.records(), pytest.raises(Conflict, match="cannot be cancelled"):
        promote.cancel(here.ports, opened.id, BEN)
    here.settle()
    assert here.stages() == {1: "None"}
    here.done(first, STAGING)


def test_whoever_lost_the_lease_changes_nothing(world: Make) -> None:
    here = world(OPEN)
    opened = here.promote(here.register(), STAGING)
    here.clock.forward(seconds=1)
    late = here.queue.claim_promotion("first", LEASE)
    assert late is not None
    here.clock.forward(seconds=11)
    taken_over = here.queue.claim_promotion("second", LEASE)
    assert taken_over is not None
    here.agent.step()
    with here.records(), pytest.raises(LostClaim):
        advance(here.ports, *late)
    assert here.stages() == {1: "None"}
    assert here.serving("staging").generation == 0
    with here.records("deployment:committed", "version:transitioned"):
        assert advance(here.ports_of("second"), *taken_over).state == "switching"
    with pytest.raises(LostClaim):
        advance(here.ports, *late)
    assert here.look(opened).state == "done"
    assert here.serving("staging").generation == 1


def test_a_process_killed_right_after_it_asked_leaves_a_promotion_that_another_finishes(world: Make) -> None:
    here = world(OPEN)
    first = here.register()
    with here.store.writing(M) as work:
        opened, is_new = promote._open(here.ports, work, promote.Ask(first, STAGING, Kind.TRANSITION, ANA))
        assert is_new
        work.promotions.add(opened, due_at=opened.asked_at, claimed_by="the dead one", lease=promote.FIRST_LEASE)
    here.settle("second")
    assert here.open() != []  # the lease of the dead one still stands
    here.clock.forward(seconds=16)
    here.settle("second")
    assert here.stages() == {1: "Staging"}


def test_a_version_deleted_meanwhile_ends_its_promotion(world: Make) -> None:
    here = world(OPEN)
    first = here.register()
    opened = here.promote(first, STAGING)
    with here.store.writing(M) as work:
        work.versions.delete(first, here.clock.now())
    ended = here.look(opened)
    assert ended.state == "failed"
    assert "not found" in ended.because
    assert here.serving("staging").candidate is None


def test_what_does_not_exist_or_has_no_stages_is_told_and_not_recorded(world: Make) -> None:
    here = world(OPEN)
    here.register()
    here.mlflow.model("words", {"mlflow.prompt.is_prompt": "true"})
    here.mlflow.version("words", 1)
    with here.records():
        with pytest.raises(NotFound):
            here.promote(VersionRef(M, 9), STAGING)
        with pytest.raises(NotFound):
            here.promote(VersionRef("nobody", 1), STAGING)
        with pytest.raises(BadInput, match="prompt"):
            here.promote(VersionRef("words", 1), STAGING)
        with pytest.raises(NotFound):
            promote.look(here.ports, "prm-none")


def test_more_endpoints_than_the_policy_allows_fail_the_promotion(world: Make) -> None:
    here = world(OPEN + "max_endpoints: 1\n")
    first = here.register()
    here.done(first, STAGING)
    failed = here.promote(first, PRODUCTION)
    assert failed.state == "failed"
    assert "max_endpoints" in failed.because
    assert here.stages() == {1: "Staging"}


def test_a_plan_says_what_a_promotion_would_do_and_changes_nothing(world: Make) -> None:
    here = world(LIMITED)
    first, second = here.register(), here.register()
    here.served(first)
    with here.records("version:pinned"):
        made = plan.plan(here.ports, second, PRODUCTION)
        again = plan.plan(here.ports, second, PRODUCTION)
    assert (made.verdict.standing, made.leavers, made.serves_now) == (Standing.HOLDS, (first,), first)
    assert made.digest == again.digest
    kept = plan.plan(here.ports, second, PRODUCTION, archive_existing=False)
    assert (kept.verdict.standing, kept.leavers) == (Standing.FAILS, ())
    assert here.stages() == {1: "Production", 2: "None"}


def test_the_record_shows_who_asked_and_what_was_judged(world: Make) -> None:
    here = world(OPEN)
    here.done(here.register(), STAGING, who=Who("cara", via="cli"), reason="it is time")
    moved = here.recorded("version:transitioned")[0].plain
    assert Entry.from_plain(moved).who == Who("cara", via="cli")
    assert (moved["before"], moved["after"], moved["reason"]) == ("None", "Staging", "it is time")
    detail = moved["detail"]
    assert isinstance(detail, dict)
    assert set(detail) >= {"promotion", "kind", "artifacts", "plan", "policy", "gates"}


def test_a_changed_file_stops_a_version_that_was_pinned_at_every_level(world: Make) -> None:
    here = world("")
    first = here.register()
    here.done(first, STAGING)
    here.artifacts.change("mem:/1", "MLmodel", b"other bytes")
    refused = here.promote(first, PRODUCTION)
    with pytest.raises(Refused, match="MLmodel"):
        promote.answer(refused)
    assert here.stages() == {1: "Staging"}
