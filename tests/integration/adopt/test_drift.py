"""What a stock MLflow server changes behind our back is found, shown, put on the record once, and never adopted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import event

from lockgate import wiring
from lockgate.controller.watching import Watch
from lockgate.domain.drift import Difference, Kind
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.identity import Who
from lockgate.domain.promotion import Kind as Way
from lockgate.domain.promotion import PromotionState
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.usecases import drift, promote, protect, registry, status
from lockgate.usecases.adoption_ports import UNRECORDED
from lockgate.usecases.ports import Ports
from tests.integration.adopt.conftest import Adoptable, Printed
from tests.integration.adopt.seeding import rows, run

ANN = Who("ann", via="test")
FRAUD2 = VersionRef("fraud", 2)


@pytest.fixture
def ports(database: Adoptable, node: Callable[[], wiring.Node]) -> Ports:
    """Lockgate on a database it adopted, under the built-in policy."""
    database.adopt()
    return node().ports


def move(ports: Ports, ref: VersionRef, stage: Stage, *, archive: bool = True) -> PromotionState:
    ask = promote.Ask(ref, stage, Way.PROMOTE, ANN, archive_existing=archive)
    return promote.ask(ports, ask).state


def told(found: Difference) -> tuple[Kind, str, str, str]:
    return found.kind, found.alias or found.subject, found.held, found.found


def of_fraud(ports: Ports) -> list[tuple[Kind, str, str, str]]:
    return [told(each) for each in status.of_model(ports, "fraud").drift]


# --- found ------------------------------------------------------------------------------------------------------------


def test_a_stage_that_was_changed_past_us_is_found_and_our_own_goes_on_counting(
    database: Adoptable, ports: Ports
) -> None:
    database.stock.move("fraud", 2, "Archived")
    database.stock.move("fraud", 1, "Production")

    assert of_fraud(ports) == [
        (Kind.STAGE, "fraud@1", "Archived", "Production"),
        (Kind.STAGE, "fraud@2", "Production", "Archived"),
    ]
    found = {v.ref.version: v for v in status.of_model(ports, "fraud").versions}
    assert found[2].stage is Stage.PRODUCTION
    with ports.store.reading() as work:
        assert [x.version for x in work.versions.in_stage("fraud", Stage.PRODUCTION)] == [2]


@pytest.mark.parametrize(("holder", "seen"), [(1, "1"), (None, "")])
def test_a_protected_alias_that_was_moved_or_deleted_past_us_is_found(
    database: Adoptable, ports: Ports, holder: int | None, seen: str
) -> None:
    database.stock.alias("fraud", "production", holder)

    assert of_fraud(ports) == [(Kind.ALIAS, "production", "2", seen)]


def test_an_alias_of_ones_own_and_a_prompts_are_nobodys_business(database: Adoptable, ports: Ports) -> None:
    database.stock.alias("fraud", "mine", 3)
    database.stock.alias("greeting", "staging", 1)

    assert [told(each) for each in drift.look_everywhere(ports)] == [(Kind.ALIAS, "production", "", "1")]  # of `wrong`


def test_the_files_of_a_version_made_past_us_are_nobodys_to_change_once_that_was_seen(
    database: Adoptable, ports: Ports
) -> None:
    protect.adopt(ports.store)
    database.stock.register("fraud", 9)
    act = protect.Act("PUT", ANN, ["file:/nowhere/MLmodel"])
    assert protect.refusal(ports, act, ()) is None

    Watch(ports).look()

    refused = protect.refusal(ports, act, ())
    assert refused is not None
    assert "fraud@9" in refused.message


def test_a_version_made_past_us_is_unrecorded_and_in_no_stage_that_nobody_here_let_it_into(
    database: Adoptable, ports: Ports
) -> None:
    database.stock.register("fraud", 4)
    database.stock.register("fraud", 5, "Production")

    found = {v.ref.version: v for v in status.of_model(ports, "fraud").versions}
    assert (found[4].provenance, found[4].stage) == (UNRECORDED, Stage.NONE)
    assert (found[5].provenance, found[5].stage) == (UNRECORDED, Stage.NONE)
    assert of_fraud(ports) == [(Kind.STAGE, "fraud@5", "None", "Production")]

    # a row of its own changes nothing about it
    assert move(ports, VersionRef("fraud", 4), Stage.STAGING) is PromotionState.DONE
    with ports.store.writing("fraud") as work:
        work.versions.of_model("fraud")
    assert of_fraud(ports) == [(Kind.STAGE, "fraud@5", "None", "Production")]


def test_a_version_deleted_past_us_occupies_no_stage_and_no_alias_is_given_to_it(
    database: Adoptable, ports: Ports
) -> None:
    database.stock.delete("fraud", 2)

    assert of_fraud(ports) == [(Kind.VERSION_DELETED, "fraud@2", "Production", "")]
    assert move(ports, VersionRef("fraud", 3), Stage.PRODUCTION) is PromotionState.DONE
    assert database.stock.holder("fraud", "production") == 3
    assert database.stock.stage("fraud", 2) == "Deleted_Internal"
    assert move(ports, VersionRef("fraud", 3), Stage.ARCHIVED) is PromotionState.DONE
    assert database.stock.holder("fraud", "production") is None


def test_a_model_that_was_deleted_renamed_or_made_anew_past_us_is_found(database: Adoptable, ports: Ports) -> None:
    database.stock.delete_model("twins")
    database.stock.rename_model("plain", "simple")
    database.stock.delete_model("fraud")
    database.stock.register_model("fraud")
    database.stock.register("fraud", 1)

    assert [told(each) for each in drift.look_everywhere(ports) if each.model != "wrong"] == [
        (Kind.MODEL_REPLACED, "fraud", "fraud", ""),
        (Kind.MODEL_GONE, "plain", "plain", ""),
        (Kind.MODEL_GONE, "twins", "twins", ""),
    ]
    found = status.of_model(ports, "simple")
    assert [(v.ref.version, v.provenance) for v in found.versions] == [(1, UNRECORDED)]


def test_every_difference_says_what_it_is_and_how_it_is_settled(database: Adoptable, ports: Ports) -> None:
    stock = database.stock
    stock.move("twins", 1, "Staging")
    stock.alias("fraud", "production", 1)
    stock.alias("fraud", "staging", None)
    stock.delete("plain", 1)

    said = {
        (each.kind, each.alias or each.subject): (each.restore, each.accept) for each in drift.look_everywhere(ports)
    }

    assert said == {
        (Kind.STAGE, "twins@1"): (
            "lockgate promote twins@1 --to production",
            "lockgate promote twins@1 --to staging",
        ),
        (Kind.ALIAS, "production"): said[Kind.ALIAS, "production"],
        (Kind.ALIAS, "staging"): (
            "lockgate promote fraud@3 --to staging",
            "lockgate promote fraud@3 --to archived",
        ),
        (Kind.VERSION_DELETED, "plain@1"): ("", "lockgate drift plain --accept --reason …"),
    }


# --- on the record ----------------------------------------------------------------------------------------------------


def test_a_difference_goes_on_the_record_once_until_it_ends(database: Adoptable, ports: Ports) -> None:
    database.stock.move("fraud", 2, "Archived")

    first, second = drift.note(ports), drift.note(ports)
    assert [told(each) for each in first.found] == [(Kind.STAGE, "fraud@2", "Production", "Archived")]
    assert (second.found, second.ended) == ((), 0)

    database.stock.move("fraud", 2, "Production")
    assert drift.note(ports).ended == 1
    database.stock.move("fraud", 2, "Archived")
    assert len(drift.note(ports).found) == 1
    with ports.store.reading() as work:
        entries = work.record.read(model="fraud", limit=10)
    assert [entry.plain["action"] for entry in entries] == ["drift:found", "drift:ended", "drift:found"]
    newest = entries[0].plain
    assert (newest["before"], newest["after"], newest["version"]) == ("Production", "Archived", 2)
    with ports.store.reading() as work:
        assert work.record.verify()[1] == []


def test_what_disagreed_before_lockgate_came_is_said_to_have(database: Adoptable, ports: Ports) -> None:
    with ports.store.reading() as work:
        (entry,) = work.record.read(action="drift:found")

    assert entry.plain["model"] == "wrong"
    assert "found when Lockgate adopted the database" in str(entry.plain["reason"])
    assert drift.note(ports).found == ()


def test_each_workspace_has_its_own(database: Adoptable, node: Callable[[], wiring.Node]) -> None:
    run(
        database.uri,
        "INSERT INTO registered_models (workspace, name, creation_time) VALUES ('team', 'fraud', 1)",
        "INSERT INTO model_versions (workspace, name, version, creation_time, current_stage, source, status)"
        " VALUES ('team', 'fraud', 2, 1, 'Production', '/nowhere', 'READY')",
        "INSERT INTO registered_model_aliases (workspace, name, alias, version)"
        " VALUES ('team', 'fraud', 'production', 2)",
    )
    database.adopt()
    ports = node().ports
    run(database.uri, "UPDATE model_versions SET current_stage = 'None' WHERE workspace = 'team'")

    assert of_fraud(ports) == []
    with ports.store.within("team"):
        assert of_fraud(ports) == [(Kind.STAGE, "fraud@2", "Production", "None")]
    assert [each.model for each in drift.note(ports).found] == ["fraud"]
    assert drift.note(ports).found == ()
    with ports.store.within("team"), ports.store.reading() as work:
        (entry,) = work.record.read(model="fraud", action="drift:found")
    assert entry.plain["detail"] == {
        "kind": "stage",
        "key": "stage|2|Production|None",
        "workspace": "team",
    }
    with ports.store.reading() as work:
        assert work.record.read(model="fraud", action="drift:found") == []
        assert work.record.verify()[1] == []


# --- settled ----------------------------------------------------------------------------------------------------------


def test_promoting_to_the_stage_we_hold_puts_mlflows_tables_right_at_once(database: Adoptable, ports: Ports) -> None:
    database.stock.move("fraud", 2, "Archived")
    database.stock.alias("fraud", "production", 1)

    promotion = promote.ask(ports, promote.Ask(FRAUD2, Stage.PRODUCTION, Way.TRANSITION, ANN))

    assert (promotion.state, promotion.id) == (PromotionState.DONE, "")
    assert "were put right" in promotion.because
    assert database.stock.stage("fraud", 2) == "Production"
    assert database.stock.holder("fraud", "production") == 2
    assert of_fraud(ports) == []
    assert database.actions().count("drift:mended") == 2
    assert database.actions().count("version:transitioned") == 0


def test_promoting_to_the_stage_we_hold_needs_no_gates_and_to_the_other_one_it_does(
    database: Adoptable, node: Callable[[], wiring.Node]
) -> None:
    strict = (
        "level: enforce\nstages: {Production: {requires: {required_tags: [nobody_has_it]}}}\n"
        "endpoints: {'*': {serve: off}}\n"
    )
    database.adopt(strict)
    wiring.apply_policy_file(database.settings(strict), ANN)
    ports = node().ports
    database.stock.move("fraud", 2, "Archived")
    database.stock.move("fraud", 1, "Production")

    assert move(ports, FRAUD2, Stage.PRODUCTION) is PromotionState.DONE
    assert move(ports, VersionRef("fraud", 1), Stage.PRODUCTION) is PromotionState.REFUSED
    assert of_fraud(ports) == [(Kind.STAGE, "fraud@1", "Archived", "Production")]
    assert move(ports, VersionRef("fraud", 1), Stage.ARCHIVED) is PromotionState.DONE
    assert of_fraud(ports) == []


def test_a_promotion_into_a_stage_takes_out_of_it_what_nobody_here_let_in(database: Adoptable, ports: Ports) -> None:
    database.stock.move("fraud", 1, "Production")
    database.stock.register("fraud", 4, "Production")

    assert move(ports, VersionRef("fraud", 3), Stage.PRODUCTION) is PromotionState.DONE

    assert [database.stock.stage("fraud", number) for number in (1, 2, 3, 4)] == [
        "Archived", "Archived", "Production", "None",
    ]  # fmt: skip
    assert of_fraud(ports) == []
    with ports.store.reading() as work:
        mended = work.record.read(model="fraud", action="drift:mended")
    assert sorted((e.plain["version"], e.plain["before"], e.plain["after"]) for e in mended) == [
        (1, "Production", "Archived"),
        (4, "Production", "None"),
    ]


def test_a_deletion_is_accepted_by_a_person_for_a_reason(database: Adoptable, ports: Ports) -> None:
    database.stock.delete("fraud", 2)
    database.stock.delete_model("twins")

    with pytest.raises(BadInput, match="for a reason"):
        drift.accept(ports, "fraud", ANN, " ")
    with pytest.raises(NotFound, match="Nothing of plain"):
        drift.accept(ports, "plain", ANN, "why not")
    assert [each.subject for each in drift.accept(ports, "fraud", ANN, "it was a mistake")] == ["fraud@2"]
    assert [each.subject for each in drift.accept(ports, "twins", ANN, "nobody needs it")] == ["twins"]

    assert of_fraud(ports) == []
    assert [each.model for each in drift.look_everywhere(ports)] == ["wrong"]
    with ports.store.reading() as work:
        accepted = work.record.read(action="drift:accepted")
    assert [(e.plain["model"], e.plain["version"], e.plain["reason"]) for e in accepted] == [
        ("twins", None, "nobody needs it"),
        ("fraud", 2, "it was a mistake"),
    ]


def test_a_model_made_anew_past_us_starts_with_nothing_once_that_is_accepted(database: Adoptable, ports: Ports) -> None:
    database.stock.delete_model("fraud")
    database.stock.register_model("fraud")
    database.stock.register("fraud", 1)

    with pytest.raises(Conflict, match=r"another one than Lockgate holds.*lockgate drift fraud --accept"):
        move(ports, VersionRef("fraud", 1), Stage.ARCHIVED)
    drift.accept(ports, "fraud", ANN, "it was trained anew")

    found = status.of_model(ports, "fraud")
    assert found.drift == ()
    assert [(v.ref.version, v.provenance, v.stage) for v in found.versions] == [(1, UNRECORDED, Stage.NONE)]


def test_a_deletion_is_not_accepted_while_the_version_still_serves(database: Adoptable, ports: Ports) -> None:
    model_id = rows(database.uri, "SELECT id FROM lockgate_models WHERE name = 'fraud'")[0][0]
    run(
        database.uri,
        "INSERT INTO lockgate_endpoints (id, environment, model_id, release, generation, acknowledged, state, because,"
        f" created_at) VALUES ('ep', 'production', {model_id}, 'rel', 1, 1, 'serving', '', 1)",
        "INSERT INTO lockgate_releases (id, endpoint, model_id, version, digest, engine, promotion, created_at)"
        f" VALUES ('rel', 'ep', {model_id}, 2, 'sha256:x', 'mlflow', 'prm', 1)",
    )
    database.stock.delete("fraud", 2)

    with pytest.raises(Conflict, match="still serves at the production endpoint"):
        drift.accept(ports, "fraud", ANN, "gone")


def test_an_alias_that_names_nothing_of_ours_may_be_deleted_by_its_clients(ports: Ports) -> None:
    with ports.store.reading() as work:
        registry.may_delete_alias(work, "wrong", "production", 1)
        with pytest.raises(Conflict, match="names the primary version of Production"):
            registry.may_delete_alias(work, "fraud", "production", 2)


def test_a_model_registered_here_starts_with_nothing_of_one_that_was_deleted_past_us(
    database: Adoptable, ports: Ports
) -> None:
    database.stock.delete_model("twins")
    database.stock.register_model("twins")  # MLflow's part of the change
    with ports.store.writing("twins") as work:
        registry.model_registered(work, registry.Change("twins", ANN, ports.clock.now()), {})

    found = status.of_model(ports, "twins")
    assert (found.versions, found.drift) == ((), ())


# --- shown ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ports")
def test_doctor_shows_it_too(database: Adoptable, lockgate: Callable[..., Printed]) -> None:
    database.stock.move("fraud", 2, "Archived")

    said = lockgate("doctor", "--database", database.uri)

    assert said.code == 0
    assert "! Lockgate holds fraud@2 in stage Production, MLflow's column says Archived." in said.out
    assert "put MLflow's tables right: lockgate promote fraud@2 --to production" in said.out
    assert "make it so here too:       lockgate promote fraud@2 --to archived" in said.out


def test_looking_at_one_model_and_at_all_takes_a_few_statements_however_many_there_are(
    database: Adoptable, node: Callable[[], wiring.Node]
) -> None:
    database.adopt()
    counted: list[str] = []
    with node().store.reading() as work:
        event.listen(work.connection, "before_cursor_execute", lambda *told: counted.append(told[2]))
        work.drift.differences()
        of_all = len(counted)
        work.drift.differences("fraud")
        of_one = len(counted) - of_all

    assert of_all <= 10
    assert of_one <= 10
