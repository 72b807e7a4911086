"""MLflow's own client against the governed server: what it may, what it is refused, and what it reads back."""

from __future__ import annotations

import json
import threading

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException

from tests.integration.registry.conftest import add_version

pytestmark = pytest.mark.both_databases


def _record(running, **asked):
    answer = requests.get(f"{running.url}/api/lockgate/v1/audit", params={"limit": 100, **asked}, timeout=30)
    answer.raise_for_status()
    return answer.json()["entries"]


def _refused(call, *args, **kwargs):
    with pytest.raises(MlflowException) as refusal:
        call(*args, **kwargs)
    return refusal.value


def _to_staging(who, model, version):
    who.set_model_version_tag(model, version, "team", "risk")
    return who.transition_model_version_stage(model, version, "Staging")


def _to_production(people, model, version):
    ann, bob = people("ann"), people("bob")
    _to_staging(ann, model, version)
    ann.set_model_version_tag(
        model, version, "approval_request", json.dumps({"status": "pending", "justification": "x"})
    )
    bob.set_model_version_tag(model, version, "production_approved", "true")
    return ann.transition_model_version_stage(model, version, "Production", archive_existing_versions=True)


def test_a_model_that_exists_is_told_so_in_mlflows_own_words(people, model):
    error = _refused(people("ann").create_registered_model, model)
    assert error.error_code == "RESOURCE_ALREADY_EXISTS"
    assert "already exists" in error.message


def test_registrations_are_on_the_record_with_who_made_them(people, running, model):
    told = {entry["action"]: entry for entry in _record(running, model=model)}
    assert told["model:registered"]["who"].items() >= {"name": "ann", "verified": False, "via": "mlflow"}.items()
    assert told["version:registered"]["after"] == "None"


def test_a_refusal_names_the_gate_and_the_way_on_and_moves_nothing(people, running, model):
    ann = people("ann")
    error = _refused(ann.transition_model_version_stage, model, "1", "Staging")
    assert error.error_code == "PERMISSION_DENIED"
    assert "required_tags" in error.message
    assert "team" in error.message
    assert ann.get_model_version(model, "1").current_stage == "None"
    assert "promotion:refused" in {entry["action"] for entry in _record(running, model=model)}


def test_a_refusal_carries_its_gates_as_data(running, model):
    told = {"name": model, "version": "1", "stage": "Staging"}
    url = f"{running.url}/ajax-api/2.0/mlflow/model-versions/transition-stage"
    answer = requests.post(url, json=told, timeout=30)
    assert answer.status_code == 403
    lockgate = answer.json()["lockgate"]
    assert lockgate["standing"] == "fails"
    assert lockgate["promotion"]
    assert {gate["name"]: gate["standing"] for gate in lockgate["gates"]}["required_tags"] == "fails"


def test_stage_alias_and_staging_time_change_together(people, model):
    ann = people("ann")
    moved = _to_staging(ann, model, "1")
    assert (moved.current_stage, moved.aliases) == ("Staging", ["staging"])
    assert "staging_timestamp" in moved.tags
    assert ann.get_model_version_by_alias(model, "staging").version == moved.version


def test_a_protected_alias_is_a_promotion(people, model):
    ann = people("ann")
    assert "required_tags" in _refused(ann.set_registered_model_alias, model, "staging", "2").message
    ann.set_model_version_tag(model, "2", "team", "risk")
    ann.set_registered_model_alias(model, "staging", "2")
    assert ann.get_model_version(model, "2").current_stage == "Staging"
    error = _refused(ann.delete_registered_model_alias, model, "staging")
    assert (error.error_code, "lockgate promote" in error.message) == ("RESOURCE_CONFLICT", True)


def test_an_alias_of_ones_own_is_free_and_on_the_record(people, running, model):
    ann = people("ann")
    ann.set_registered_model_alias(model, "mine", "1")
    ann.set_registered_model_alias(model, "mine", "2")
    ann.delete_registered_model_alias(model, "mine")
    moves = [(entry["before"], entry["after"]) for entry in _record(running, model=model) if "alias" in entry["action"]]
    assert moves == [("2", None), ("1", "2"), (None, "1")]


@pytest.mark.parametrize("key", ["staging_timestamp", "model_version", "mlflow.prompt.is_prompt"])
def test_a_reserved_tag_is_refused_by_every_way_and_the_refusal_recorded(people, running, model, key):
    # under a name of its own: what one caller is refused is counted together from the twentieth thing on
    ann = people(f"ann of {key}")
    for call, args in (
        (ann.set_model_version_tag, (model, "1", key, "x")),
        (ann.delete_model_version_tag, (model, "1", key)),
        (ann.set_registered_model_tag, (model, key, "x")),
        (ann.delete_registered_model_tag, (model, key)),
    ):
        error = _refused(call, *args)
        assert (error.error_code, key in error.message) == ("PERMISSION_DENIED", True)
    assert len([entry for entry in _record(running, model=model) if entry["action"] == "access:refused"]) == 4
    assert key not in ann.get_model_version(model, "1").tags


def test_a_version_cannot_be_born_approved_or_in_staging(people, model):
    for tags in ({"production_approved": "true"}, {"staging_timestamp": "2020-01-01"}):
        assert _refused(add_version, people("ann"), model, tags=tags).error_code == "PERMISSION_DENIED"
    assert _refused(people("ann").create_registered_model, "x-1", tags={"model_version": "1"})


def test_a_version_may_be_born_with_a_request_for_approval(people, model):
    asked = json.dumps({"status": "pending", "justification": "new data"})
    made = add_version(people("ann"), model, tags={"approval_request": asked, "team": "risk"})
    tags = people("bob").get_model_version(model, made.version).tags
    assert tags["team"] == "risk"
    assert json.loads(tags["approval_request"])["requester"] == "ann"


def test_an_approval_is_not_a_tag_that_anybody_can_write(people, model):
    ann, bob = people("ann"), people("bob")
    assert _refused(bob.set_model_version_tag, model, "1", "production_approved", "true")
    ann.set_model_version_tag(model, "1", "approval_request", json.dumps({"status": "pending", "justification": "x"}))
    forged = json.dumps({"status": "approved", "approved_by": "bob", "requester": "carl"})
    assert _refused(ann.set_model_version_tag, model, "1", "approval_request", forged).error_code == "PERMISSION_DENIED"
    assert _refused(ann.delete_model_version_tag, model, "1", "approval_request").error_code == "PERMISSION_DENIED"
    bob.set_model_version_tag(model, "1", "production_approved", "true")
    told = json.loads(ann.get_model_version(model, "1").tags["approval_request"])
    assert (told["status"], told["requester"], told["approved_by"]) == ("approved", "ann", "bob")


def test_a_broken_approval_request_is_refused_with_what_it_must_hold(people, model):
    error = _refused(people("ann").set_model_version_tag, model, "1", "approval_request", "{")
    assert (error.error_code, "status" in error.message) == ("INVALID_PARAMETER_VALUE", True)


def test_a_gate_that_waits_is_a_conflict_that_says_what_to_do(people, model):
    ann = people("ann")
    _to_staging(ann, model, "1")
    error = _refused(ann.transition_model_version_stage, model, "1", "Production")
    assert error.error_code == "RESOURCE_CONFLICT"
    assert "lockgate request" in error.message


def test_what_lockgate_wrote_on_a_version_does_not_travel_to_its_copy(people, model):
    _to_production(people, model, "1")
    copied = people("carl").copy_model_version(f"models:/{model}/1", f"{model}-copy")
    assert copied.current_stage == "None"
    assert not {"approval_request", "production_approved", "staging_timestamp"} & copied.tags.keys()
    assert copied.tags["team"] == "risk"


def test_a_deleted_version_gives_its_alias_back(people, model):
    ann = people("ann")
    _to_production(people, model, "1")
    ann.delete_model_version(model, "1")
    assert _refused(ann.get_model_version, model, "1").error_code == "RESOURCE_DOES_NOT_EXIST"
    assert "production" not in ann.get_registered_model(model).aliases


def test_a_renamed_model_keeps_its_stages_and_its_record(people, running, model):
    ann = people("ann")
    _to_staging(ann, model, "1")
    ann.rename_registered_model(model, f"{model}-new")
    assert ann.get_model_version_by_alias(f"{model}-new", "staging").current_stage == "Staging"
    told = requests.get(f"{running.url}/api/lockgate/v1/status", params={"model": f"{model}-new"}, timeout=30).json()
    assert {version["version"]: version["stage"] for version in told["versions"]}[1] == "Staging"


def test_a_model_made_anew_under_an_old_name_starts_with_nothing(people, model):
    ann = people("ann")
    _to_staging(ann, model, "1")
    ann.delete_registered_model(model)
    ann.create_registered_model(model)
    made = add_version(ann, model)
    assert (int(made.version), made.current_stage, made.aliases) == (1, "None", [])
    assert "required_tags" in _refused(ann.transition_model_version_stage, model, "1", "Staging").message


def test_prompts_have_aliases_of_their_own_and_no_stages(people, running, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    ann = people("ann")
    mlflow.set_tracking_uri(running.url)
    try:
        ann.register_prompt("greeting", "Hello {{name}}")
        ann.set_prompt_alias("greeting", "production", 1)
        ann.delete_prompt_alias("greeting", "production")
    finally:
        mlflow.set_tracking_uri(None)
    told = {"name": "greeting", "version": "1", "stage": "Production"}
    answer = requests.post(f"{running.url}/api/2.0/mlflow/model-versions/transition-stage", json=told, timeout=30)
    assert (answer.status_code, "prompt" in answer.json()["message"]) == (400, True)


def test_a_model_takes_no_prompt_versions(people, model):
    error = _refused(add_version, people("ann"), model, tags={"mlflow.prompt.is_prompt": "true"})
    assert error.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("told", "status", "said"),
    [
        ({"version": "1", "stage": "Staging"}, 400, "required parameter 'name'"),
        ({"name": "m", "version": 1, "stage": "Staging"}, 400, "parameter 'version'"),
        ({"name": "m", "version": "one", "stage": "Staging"}, 400, "version"),
        ({"name": "m", "version": "1", "stage": "Nowhere"}, 400, "Invalid Model Version stage: Nowhere"),
        (
            {"name": "m", "version": "1", "stage": "Archived", "archive_existing_versions": True},
            500,
            "not an Active stage",
        ),
        ({"name": "m", "version": "1", "stage": "Staging"}, 404, "not found"),
        ("no object", 400, "no object"),
        ([1], 400, "no object"),
        (7, 400, "no object"),
    ],
)
def test_a_malformed_transition_is_answered_as_mlflow_answers_it(running, told, status, said):
    answer = requests.post(f"{running.url}/api/2.0/mlflow/model-versions/transition-stage", json=told, timeout=30)
    assert (answer.status_code, said in answer.json()["message"]) == (status, True), answer.text


@pytest.mark.both_databases(long=True)
def test_mlflows_demo_data_does_not_get_past_the_record(running):
    made = requests.post(f"{running.url}/ajax-api/3.0/mlflow/demo/generate", json={}, timeout=90)
    assert made.status_code == 200, made.text
    url = f"{running.url}/api/2.0/mlflow/registered-models/search"
    filtered = {"filter": "tags.`mlflow.prompt.is_prompt` = 'true'"}
    prompts = [found["name"] for found in requests.get(url, params=filtered, timeout=30).json()["registered_models"]]
    recorded = {entry["model"] for entry in _record(running, action="prompt:version-registered")}
    assert set(prompts) - {"greeting"} <= recorded
    assert recorded


@pytest.mark.parametrize("route", ["registered-models/create", "model-versions/set-tag"])
def test_a_body_that_is_no_object_is_refused_by_every_registry_route(running, route):
    answer = requests.post(f"{running.url}/api/2.0/mlflow/{route}", json=["fraud"], timeout=30)
    assert (answer.status_code, "no object" in answer.json()["message"]) == (400, True), answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/2.0/mlflow/registered-models/wipe"), ("PUT", "/ajax-api/3.0/mlflow/assistant/config")],
)
def test_a_closed_route_is_refused_and_the_refusal_recorded(running, method, path):
    closer = {"X-Lockgate-User": "closer"}
    assert requests.request(method, running.url + path, json={}, headers=closer, timeout=30).status_code == 403
    asked = [entry["detail"]["asked"] for entry in _record(running, action="access:refused")]
    assert f"{method} {path}" in asked


def test_two_promotions_at_once_leave_one_production_version(people, model, rounds):
    ann, bob = people("ann"), people("bob")
    for version in ("1", "2"):
        _to_staging(ann, model, version)
    for _ in range(rounds(3, 30)):
        for version in ("1", "2"):
            ann.transition_model_version_stage(model, version, "Staging")
            asked = json.dumps({"status": "pending", "justification": "x"})
            ann.set_model_version_tag(model, version, "approval_request", asked)
            bob.set_model_version_tag(model, version, "production_approved", "true")
        url = f"{ann._client.tracking_uri}/api/2.0/mlflow/model-versions/transition-stage"
        barrier, statuses = threading.Barrier(2), list[int]()

        def promote(version: str, url=url, barrier=barrier, statuses=statuses) -> None:
            told = {"name": model, "version": version, "stage": "Production", "archive_existing_versions": True}
            barrier.wait(30)
            statuses.append(requests.post(url, json=told, timeout=60).status_code)

        both = [threading.Thread(target=promote, args=(version,)) for version in ("1", "2")]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(60)
        assert set(statuses) <= {200, 409}, statuses
        stages = [ann.get_model_version(model, version).current_stage for version in ("1", "2")]
        assert stages.count("Production") == 1, stages


def test_the_chain_holds_after_all_of_it(running, model):
    answer = requests.get(f"{running.url}/api/lockgate/v1/audit/verify", timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["breaks"] == []
