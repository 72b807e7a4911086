"""What scripts written for MLflow's stages do, against a node with its defaults: it works, and it is on the record."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lockgate import Lockgate
from tests.databases.backends import NewDatabase
from tests.e2e.conftest import Node, node_in
from tests.e2e.models import Logged, log_forest, register_again

pytestmark = [pytest.mark.timeout(300), pytest.mark.both_databases(long=True)]
MODEL = "petals"
FLOWER = {"dataframe_split": {"columns": ["0", "1", "2", "3"], "data": [[5.1, 3.5, 1.4, 0.2]]}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, database_kind: str, new_database: NewDatabase) -> Iterator[Node]:
    """A node without a policy file and with nothing in it: the first model gets the environments' own ports."""
    with node_in(tmp_path_factory.mktemp("scripts"), None, new_database(database_kind)) as made:
        yield made.start()


@pytest.fixture(scope="module")
def client(home: Node) -> MlflowClient:
    return MlflowClient(home.url, home.url)


@pytest.fixture(scope="module")
def forest(home: Node) -> Logged:
    """Version 1, trained and registered in one go."""
    return log_forest(home.url, MODEL)


@pytest.fixture(scope="module")
def staged(home: Node, client: MlflowClient, forest: Logged) -> Logged:
    """Version 1, moved to Staging; the first endpoint of the environment."""
    client.transition_model_version_stage(MODEL, "1", "Staging", archive_existing_versions=True)
    return forest


@pytest.fixture
def other(home: Node, staged: Logged, request: pytest.FixtureRequest) -> Logged:
    """Another model with the same files, of the test's own, in no stage; never the first of an environment."""
    return register_again(home.url, staged, request.node.name[:60])


def invocation(port: int, path: str = "/invocations") -> bytes:
    """The body with which an endpoint answers one flower."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(FLOWER).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=30) as response:
        told: bytes = response.read()
    return told


def write_request(client: MlflowClient, version: Logged, **told: Any) -> dict[str, Any]:
    """Write the tag as scripts do: read it, change it, write all of it back."""
    known = client.get_model_version(version.model, str(version.version)).tags.get("approval_request")
    value = {**(json.loads(known) if known else {}), **told}
    client.set_model_version_tag(version.model, str(version.version), "approval_request", json.dumps(value))
    return value


def ask_by_tag(client: MlflowClient, version: Logged) -> None:
    write_request(
        client, version, status="pending", requester="dora@example.org", justification="Better on new flowers.",
        requested_at=datetime.now().isoformat(), approved_by=None, approved_at=None,  # noqa: DTZ005 - scripts do
    )  # fmt: skip


def pending_by_command(home: Node) -> set[str]:
    """What `lockgate approvals` lists."""
    return {f"{one['model']}@{one['version']}" for one in home.json("approvals")["approvals"]}


def pending_by_tags(client: MlflowClient) -> list[str]:
    """The versions whose tag says that they wait, found as scripts find them."""
    tags = [
        (f"{version.name}@{version.version}", version.tags.get("approval_request"))
        for model in client.search_registered_models()
        for version in model.latest_versions
    ]
    return [ref for ref, told in tags if told and json.loads(told)["status"] == "pending"]


def refused(home: Node, call: Any, *args: Any) -> str:
    """The message with which MLflow's client is refused: its code, and text for a person."""
    with pytest.raises(MlflowException) as refusal:
        call(*args)
    assert "Traceback" not in refusal.value.message
    assert "Traceback" not in home.log
    return str(refusal.value.message)


def test_a_registered_model_is_found_by_searching_models_and_versions(client: MlflowClient, forest: Logged) -> None:
    [model] = [found for found in client.search_registered_models() if found.name == MODEL]
    assert model.latest_versions
    versions = sorted(client.search_model_versions(f"name='{MODEL}'"), key=lambda found: int(found.version))
    assert versions[0].version == str(forest.version)
    assert client.get_run(versions[0].run_id).data.metrics["accuracy"] == 0.95


def test_once_in_staging_it_answers_on_the_port_of_staging_exactly_what_mlflow_answers(
    home: Node, staged: Logged
) -> None:
    assert invocation(home.ports[1]) == b'{"predictions": [0]}'
    assert invocation(home.ports[1], f"/models/{MODEL}/invocations") == b'{"predictions": [0]}'


def test_a_description_and_tags_of_ones_own_are_written_and_read(client: MlflowClient, staged: Logged) -> None:
    told = {"team": "botany", "validation_status": "passed", "deployment_date": "2031-05-06T07:08:09"}
    client.update_model_version(MODEL, "1", description="Tells flowers apart.")
    for key, value in told.items():
        client.set_model_version_tag(MODEL, "1", key, value)
    version = client.get_model_version(MODEL, "1")
    assert version.description == "Tells flowers apart."
    assert told.items() <= version.tags.items()


def test_the_time_of_staging_is_written_by_lockgate_and_by_nobody_else(
    home: Node, client: MlflowClient, staged: Logged
) -> None:
    written = client.get_model_version(MODEL, "1").tags["staging_timestamp"]
    assert datetime.fromisoformat(written).utcoffset() == timedelta()
    said = refused(home, client.set_model_version_tag, MODEL, "1", "staging_timestamp", "2001-01-01T00:00:00")
    assert said.startswith("PERMISSION_DENIED: ")
    assert "Lockgate writes it when a version enters Staging" in said
    assert client.get_model_version(MODEL, "1").tags["staging_timestamp"] == written


def test_an_approval_by_tags_is_a_real_one(home: Node, client: MlflowClient, other: Logged) -> None:
    # right after the move, as scripts do: nothing waits for the validation that runs then
    client.transition_model_version_stage(other.model, "1", "Staging", archive_existing_versions=True)
    ask_by_tag(client, other)
    assert other.ref in pending_by_tags(client)
    assert other.ref in pending_by_command(home)

    write_request(client, other, status="approved", approved_by="lea@example.org", approved_at="now", comments="Fine.")
    client.set_model_version_tag(other.model, "1", "production_approved", "true")

    assert other.ref not in pending_by_tags(client)
    assert other.ref not in pending_by_command(home)
    tags = client.get_model_version(other.model, "1").tags
    told = json.loads(tags["approval_request"])
    assert (told["status"], told["approved_by"], told["comments"]) == ("approved", "lea@example.org", "Fine.")
    assert tags["production_approved"] == "true"
    with Lockgate(home.url) as sdk:
        acts = [entry for entry in sdk.audit(other.model) if entry.action.startswith("approval:")]
    told_acts = [(entry.action, str(entry.who), entry.why) for entry in acts]
    assert told_acts == [
        ("approval:approved", "lea@example.org (unverified)", "Fine."),
        ("approval:requested", "dora@example.org (unverified)", "Better on new flowers."),
    ]


def test_a_rejection_by_tag_is_a_real_one(home: Node, client: MlflowClient, other: Logged) -> None:
    ask_by_tag(client, other)
    write_request(client, other, status="rejected", reviewed_by="lea@example.org", rejection_reason="Too few flowers.")
    tags = client.get_model_version(other.model, "1").tags
    assert json.loads(tags["approval_request"])["rejection_reason"] == "Too few flowers."
    assert "production_approved" not in tags
    with Lockgate(home.url) as sdk:
        gates = {gate.name: gate for gate in sdk.plan(other.ref).verdict.gates}
    assert gates["approval_required"].because == "rejected by lea@example.org (unverified): Too few flowers."


def test_nobody_is_approved_by_writing_a_tag_without_a_request(home: Node, client: MlflowClient, other: Logged) -> None:
    said = refused(home, client.set_model_version_tag, other.model, "1", "production_approved", "true")
    assert f"Nobody has asked for approval of {other.ref} to Production. lockgate request {other.ref} --reason" in said
    ask_by_tag(client, other)
    own = {"status": "approved", "approved_by": "dora@example.org"}
    said = refused(home, client.set_model_version_tag, other.model, "1", "approval_request", json.dumps(own))
    assert "may not approve it" in said
    assert "production_approved" not in client.get_model_version(other.model, "1").tags


def test_the_next_version_takes_staging_and_goes_on_to_production_and_the_record_says_what_it_lacked(
    home: Node, client: MlflowClient, other: Logged
) -> None:
    second = register_again(home.url, other, other.model)

    def inside(stage: str) -> list[str]:
        return [found.version for found in client.get_latest_versions(other.model, stages=[stage])]

    client.transition_model_version_stage(other.model, "1", "Staging", archive_existing_versions=True)
    client.transition_model_version_stage(other.model, str(second.version), "Staging", archive_existing_versions=True)
    assert (inside("Staging"), inside("Archived"), inside("Production")) == (["2"], ["1"], [])

    moved = client.transition_model_version_stage(other.model, "2", "Production", archive_existing_versions=True)
    assert moved.current_stage == "Production"
    assert (inside("Staging"), inside("Production")) == ([], ["2"])
    with Lockgate(home.url) as sdk:
        promotion = next(each for each in sdk.promotions(other.model) if each.stage == "Production")
        serving = {found.environment: found for found in sdk.endpoints() if found.model == other.model}
        assert sdk.verify_audit().holds
    verdict = promotion.verdict
    assert verdict is not None
    assert (promotion.state, verdict.standing) == ("done", "holds")
    assert verdict.would_be != "holds"
    lacked = {gate.name: gate.because for gate in verdict.open}
    assert lacked["approval_required"] == "nobody has asked for approval"
    assert "23 h 59 min to go" in lacked["staging_duration_hours"]
    assert invocation(serving["production"].port or 0) == b'{"predictions": [0]}'
    # what left Staging goes on answering there until somebody stops it
    assert serving["staging"].state == "vacant"
    assert invocation(serving["staging"].port or 0) == b'{"predictions": [0]}'
