"""MLflow's workspaces on a governed server: each has its own models, rules hold in all, and none is a way out."""

from __future__ import annotations

import pytest
import requests

from tests.integration.registry.servers import server

POLICY = """
level: enforce
stages:
  Staging: {alias: staging, requires: {required_tags: [team]}}
  Production: {alias: production, requires: {previous_stage: Staging}}
governance: {max_production_versions: 1}
endpoints: {"*": {serve: off}}
"""
LIMIT = 60
pytestmark = pytest.mark.both_databases


class Registry:
    """MLflow's REST API in one workspace; None is the default one."""

    def __init__(self, running, workspace=None):
        self._url = running.url
        self._session = requests.Session()
        self._session.trust_env = False
        if workspace:
            self._session.headers["X-MLFLOW-WORKSPACE"] = workspace

    def call(self, method, path, *, api="2.0", **body):
        url = f"{self._url}/api/{api}/mlflow/{path}"
        if method == "POST":
            return self._session.post(url, json=body, timeout=LIMIT)
        return self._session.request(method, url, params=body, timeout=LIMIT)

    def model(self, name, versions=1):
        self.call("POST", "registered-models/create", name=name).raise_for_status()
        for _ in range(versions):
            source, run = self.artifacts()
            self.call("POST", "model-versions/create", name=name, source=source, run_id=run).raise_for_status()

    def artifacts(self):
        """Files of a run in this workspace: where they are, and the run."""
        self.call("POST", "experiments/create", name="trials")
        found = self.call("GET", "experiments/get-by-name", experiment_name="trials").json()["experiment"]
        run = self.call("POST", "runs/create", experiment_id=found["experiment_id"]).json()["run"]["info"]
        told = {"run_uuid": run["run_id"], "path": "model/MLmodel"}
        url = f"{self._url}/ajax-api/2.0/mlflow/upload-artifact"
        self._session.post(url, params=told, data="flavors: {}", timeout=LIMIT).raise_for_status()
        return f"{run['artifact_uri']}/model", run["run_id"]

    def to_stage(self, name, version, stage):
        return self.call(
            "POST",
            "model-versions/transition-stage",
            name=name,
            version=str(version),
            stage=stage,
            archive_existing_versions=False,
        )

    def stage_of(self, name, version):
        found = self.call("GET", "model-versions/get", name=name, version=str(version))
        return found.json()["model_version"]["current_stage"]

    def tag(self, name, version):
        told = {"name": name, "version": str(version), "key": "team", "value": "risk"}
        self.call("POST", "model-versions/set-tag", **told).raise_for_status()

    def record(self, model):
        answer = self._session.get(f"{self._url}/api/lockgate/v1/audit", params={"model": model}, timeout=LIMIT)
        answer.raise_for_status()
        return answer.json()["entries"]


@pytest.fixture(scope="module")
def running(tmp_path_factory, database_kind, new_database):
    database = new_database(database_kind)
    more = {"LOCKGATE_WORKSPACES": "true"} | ({"LOCKGATE_DATABASE": database} if database else {})
    with server(tmp_path_factory.mktemp("workspaces"), policy=POLICY, more=more) as running:
        for name in ("team-a", "team-b"):
            Registry(running).call("POST", "workspaces", api="3.0", name=name).raise_for_status()
        yield running


def test_the_same_name_is_another_model_in_another_workspace(running):
    here, there = Registry(running, "team-a"), Registry(running, "team-b")
    here.model("shared", versions=2)
    there.model("shared")
    here.tag("shared", 1)
    assert here.to_stage("shared", 1, "Staging").status_code == 200
    assert here.stage_of("shared", 1) == "Staging"
    assert there.stage_of("shared", 1) == "None"
    assert Registry(running).call("GET", "registered-models/get", name="shared").status_code == 404
    found = there.call("GET", "model-versions/search", filter="name = 'shared'").json()["model_versions"]
    assert [version["version"] for version in found] == ["1"]


def test_the_rules_hold_in_every_workspace(running):
    there = Registry(running, "team-b")
    there.model("ruled", versions=2)
    refusal = there.to_stage("ruled", 1, "Staging")
    assert refusal.status_code == 403
    assert "required_tags" in refusal.json()["message"]
    for version in (1, 2):
        there.tag("ruled", version)
        assert there.to_stage("ruled", version, "Staging").status_code == 200
    assert there.to_stage("ruled", 1, "Production").status_code == 200
    assert there.to_stage("ruled", 2, "Production").status_code == 403
    assert there.stage_of("ruled", 2) == "Staging"


def test_a_protected_alias_is_a_promotion_there_too(running):
    there = Registry(running, "team-a")
    there.model("aliased")
    told = {"name": "aliased", "alias": "production", "version": "1"}
    assert there.call("POST", "registered-models/alias", **told).status_code == 403
    assert there.stage_of("aliased", 1) == "None"


def test_each_entry_of_the_record_says_its_workspace(running):
    here, there = Registry(running, "team-a"), Registry(running, "team-b")
    here.model("told")
    there.model("told")
    entries = there.record("told")
    assert {entry["action"] for entry in entries} == {"model:registered", "version:registered"}
    assert {entry["detail"]["workspace"] for entry in entries} == {"team-b"}
    verified = requests.get(f"{running.url}/api/lockgate/v1/audit/verify", timeout=LIMIT).json()
    assert verified["breaks"] == []


def test_a_promotion_is_not_found_from_another_workspace(running):
    here = Registry(running, "team-a")
    here.model("private")
    here.tag("private", 1)
    here.to_stage("private", 1, "Staging").raise_for_status()
    promotion = next(e["detail"] for e in here.record("private") if e["action"] == "promotion:done")
    id = promotion["promotion"]
    url = f"{running.url}/api/lockgate/v1/promotions/{id}"
    assert requests.get(url, headers={"X-MLFLOW-WORKSPACE": "team-a"}, timeout=LIMIT).status_code == 200
    assert requests.get(url, headers={"X-MLFLOW-WORKSPACE": "team-b"}, timeout=LIMIT).status_code == 404


def test_a_workspace_is_not_deleted_together_with_its_models(running):
    plain = Registry(running)
    plain.call("POST", "workspaces", api="3.0", name="kept").raise_for_status()
    Registry(running, "kept").model("inside")
    for mode in ("CASCADE", "SET_DEFAULT"):
        answer = plain.call("DELETE", "workspaces/kept", api="3.0", mode=mode)
        assert answer.status_code == 403, answer.text
        assert "Delete what is in kept first" in answer.json()["message"]
    assert plain.call("DELETE", "workspaces/kept", api="3.0").status_code == 500  # MLflow's own: not empty
    assert Registry(running, "kept").stage_of("inside", 1) == "None"


def test_changes_of_workspaces_are_on_the_record(running):
    plain = Registry(running)
    plain.call("POST", "workspaces", api="3.0", name="brief").raise_for_status()
    plain.call("DELETE", "workspaces/brief", api="3.0").raise_for_status()
    told = requests.get(f"{running.url}/api/lockgate/v1/audit", params={"limit": 100}, timeout=LIMIT).json()["entries"]
    assert [entry["action"] for entry in told if "brief" in str(entry)] == ["workspace:deleted", "workspace:created"]


def test_a_workspace_that_is_not_there_is_answered_as_mlflow_answers_it(running):
    lost = Registry(running, "nowhere")
    answer = lost.call("GET", "registered-models/get", name="shared")
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert Registry(running, "No Such!").call("POST", "registered-models/create", name="x").status_code == 400
