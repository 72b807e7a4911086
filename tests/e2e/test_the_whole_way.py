"""The main job as people do it: CLI, SDK and MLflow's client against real processes under a policy that is enforced."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CompletedProcess
from typing import Any

import pytest
from sqlalchemy import text

from lockgate import Lockgate
from lockgate.sdk.errors import BadRequest, Conflict, Forbidden, NotFound, Refused, Waiting
from tests.e2e import models
from tests.e2e.conftest import Node, until
from tests.e2e.load import Load, ask
from tests.e2e.models import Logged

pytestmark = [pytest.mark.timeout(300), pytest.mark.both_databases(long=True)]
TEAM = {"team": "risk"}


class Person:
    """Somebody at a terminal: runs commands under a name, and knows what they should exit with."""

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self._name = name

    def does(self, *words: str, exits: int = 0) -> str:
        """Run a command and give all that it printed."""
        done = self._run(*words)
        assert done.returncode == exits, f"lockgate {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def asks(self, *words: str, exits: int = 0) -> Any:
        """Run a command with --json and give what it printed."""
        done = self._run(*words, "--json")
        assert done.returncode == exits, done.stdout + done.stderr
        return json.loads(done.stdout)

    def _run(self, *words: str) -> CompletedProcess[str]:
        return self._node.cli(*words, LOCKGATE_USER=self._name)


@pytest.fixture
def ana(enforcing: Node) -> Person:
    return Person(enforcing, "ana")


@pytest.fixture
def ben(enforcing: Node) -> Person:
    return Person(enforcing, "ben")


@contextmanager
def client(node: Node, who: str) -> Iterator[Lockgate]:
    with Lockgate(node.url, who) as made:
        yield made


def where(node: Node, logged: Logged) -> tuple[str, set[str], set[str], bool]:
    """The stage of a version, its aliases, the environments that serve it, and whether it is quarantined."""
    with client(node, "looks") as looking:
        found = next(v for v in looking.status(logged.model).versions if v.version == logged.version)
    return found.stage, set(found.aliases), set(found.served_by), found.quarantine is not None


def endpoint(node: Node, model: str, environment: str = "production") -> Any:
    with client(node, "looks") as looking:
        return next(e for e in looking.endpoints() if (e.model, e.environment) == (model, environment))


def recorded(node: Node, model: str, action: str) -> list[Any]:
    with client(node, "looks") as looking:
        return list(looking.audit(model, action))


def to_staging(node: Node, model: str, **how: Any) -> Logged:
    logged = models.log_iris(node.url, model, tags=TEAM, **how)
    with client(node, "ana") as asking:
        asking.promote(logged.ref, "staging", wait=120)
    return logged


def to_production(node: Node, model: str, **how: Any) -> Logged:
    logged = to_staging(node, model, **how)
    with client(node, "ana") as asking, client(node, "ben") as deciding:
        asking.request(logged.ref, "better")
        deciding.approve(logged.ref, "fine")
        asking.promote(logged.ref, "production", wait=120)
    return logged


def test_a_refusal_tells_every_reason_at_once_moves_nothing_and_is_on_the_record(enforcing: Node, ana: Person) -> None:
    bad = models.log_iris(enforcing.url, "refused", accuracy=0.5)
    said = ana.does("promote", bad.ref, "--to", "production", exits=1)
    for gate in ("min_accuracy", "previous_stage", "staging_duration_hours", "approval_required"):
        assert gate in said
    assert "0.5, below 0.9" in said

    told = ana.asks("promote", bad.ref, "--to", "staging", exits=1)["error"]
    standings = {gate["name"]: gate["standing"] for gate in told["gates"]}
    assert standings == {
        "artifacts_pinned": "holds", "min_accuracy": "fails", "required_tags": "fails",
        "runtime_matches": "waits", "schema_test": "waits", "inference_test": "waits",
    }  # fmt: skip
    assert all(gate["because"] and (gate["next"] or gate["standing"] == "holds") for gate in told["gates"])

    assert where(enforcing, bad) == ("None", set(), set(), False)
    with client(enforcing, "looks") as looking:
        assert not looking.status("refused").endpoints
    assert not recorded(enforcing, "refused", "version:transitioned")
    refusals = recorded(enforcing, "refused", "promotion:refused")
    assert [entry.who.name for entry in refusals] == ["ana", "ana"]
    assert "min_accuracy" in refusals[0].why
    assert "required_tags" in refusals[0].why


def test_from_log_model_to_rollback_without_one_failed_request(enforcing: Node, ana: Person, ben: Person) -> None:
    first = models.log_iris(enforcing.url, "iris", tags=TEAM)
    body = models.body()
    assert "Done: iris@1 is in Staging" in ana.does("promote", first.ref, "--to", "staging", "--wait")
    answer = ask(endpoint(enforcing, "iris", "staging").port, body)
    assert (answer.version, list(answer.predictions)) == (1, first.predictions)
    assert recorded(enforcing, "iris", "validation:passed")

    assert "approval_required" in ana.does("promote", first.ref, "--to", "production", exits=8)
    assert where(enforcing, first)[0] == "Staging"
    ana.does("request", first.ref, "--reason", "the first one")
    assert "may not approve" in ana.does("approve", first.ref, "--comment", "mine", exits=1)
    assert [entry.who.name for entry in recorded(enforcing, "iris", "approval:refused")] == ["ana"]
    assert "iris@1" in ben.does("approvals")
    ben.does("approve", first.ref, "--comment", "looked at it")
    assert "Done: iris@1 is in Production" in ana.does("promote", first.ref, "--to", "production", "--wait")
    served = endpoint(enforcing, "iris")
    assert where(enforcing, first) == ("Production", {"production"}, {"staging", "production"}, False)
    assert (served.version, served.state, served.generation) == (1, "serving", served.acknowledged)
    assert len(recorded(enforcing, "iris", "promotion:requested")) == 2  # the second ask joined the first

    second = to_staging(enforcing, "iris", shift=100)
    ana.does("request", second.ref, "--reason", "the second one")
    ben.does("approve", second.ref, "--comment", "this too")
    few = models.body(models.flowers()[::10])
    known = {1: first.predictions[::10], 2: second.predictions[::10]}
    with Load(served.port, few) as load:
        ana.does("promote", second.ref, "--to", "production", "--wait")
        returned = time.monotonic()
        load.more(60)
        swapped = len(load.answers)
        assert load.versions_since(returned) == {2}
        assert (where(enforcing, first)[0], where(enforcing, second)[1]) == ("Archived", {"production"})
        assert "Rolled back: iris@1" in ana.does("rollback", "iris", "--reason", "errors at the till", "--wait")
        returned = time.monotonic()
        load.more(60)
        assert load.versions_since(returned) == {1}
    assert not load.failed()
    assert not load.wrong(known)
    assert {answer.version for answer in load.answers[:swapped]} == {1, 2}

    assert where(enforcing, first) == ("Production", {"production"}, {"production"}, False)
    assert where(enforcing, second) == ("Archived", set(), {"staging"}, True)
    third = models.log_iris(enforcing.url, "iris", shift=200, tags=TEAM)
    before = what_is_moved(enforcing, "iris")
    assert "no last known good" in ana.does("rollback", "iris", "--reason", "again", exits=1)
    assert "quarantined" in ana.does("rollback", "iris", "--to", "2", "--reason", "that one", exits=1)
    assert "never served" in ana.does("rollback", "iris", "--to", "3", "--reason", "that one", exits=1)
    assert what_is_moved(enforcing, "iris") == before
    assert list(ask(served.port, body).predictions) == first.predictions
    assert len(recorded(enforcing, "iris", "rollback:refused")) == 3
    assert where(enforcing, third)[0] == "None"

    # what was approved before the rollback does not count any more
    assert "not_quarantined" in ana.does("promote", second.ref, "--to", "staging", exits=8)
    assert what_is_moved(enforcing, "iris") == before
    ana.does("request", second.ref, "--to", "staging", "--reason", "it was the till")
    ben.does("approve", second.ref, "--to", "staging", "--comment", "so it was")
    assert "Done: iris@2 is in Staging" in ana.does("promote", second.ref, "--to", "staging", "--wait")
    assert where(enforcing, second) == ("Staging", {"staging"}, {"staging"}, False)
    assert "The record holds" in ana.does("audit", "verify")


def what_is_moved(node: Node, model: str) -> Any:
    """Everything that a promotion or a rollback could move: stages, aliases, quarantine, endpoints."""
    with client(node, "looks") as looking:
        found = looking.status(model)
    versions = [(v.version, v.stage, v.since, v.primary, v.aliases, v.quarantine) for v in found.versions]
    return versions, [(e.environment, e.release, e.generation, e.state, e.candidate) for e in found.endpoints]


def test_the_sdk_does_the_same_acts_and_raises_what_they_end_as(enforcing: Node) -> None:
    bad = models.log_iris(enforcing.url, "by sdk", accuracy=0.5)
    good = models.log_iris(enforcing.url, "by sdk", shift=100, tags=TEAM)
    with client(enforcing, "ana") as ana, client(enforcing, "ben") as ben:
        with pytest.raises(Refused, match="min_accuracy") as refusal:
            ana.promote(bad.ref, "staging", wait=30)
        assert {gate.name for gate in refusal.value.gates if gate.binds} >= {"min_accuracy", "required_tags"}
        assert ana.plan(good.ref, "staging").verdict.standing == "waits"  # it was never validated
        assert ana.promote(good.ref, "staging", wait=120).state == "done"

        with pytest.raises(NotFound):
            ben.approve(good.ref)
        ana.request(good.ref, "a good one")
        with pytest.raises(Forbidden):
            ana.approve(good.ref)
        assert good.ref in [request.ref for request in ben.approvals()]
        assert ben.reject(good.ref, "not yet").state == "rejected"
        with pytest.raises(Refused, match="not yet"):
            ana.promote(good.ref, "production", wait=30)
        with pytest.raises(Conflict):
            ben.approve(good.ref)
        ana.request(good.ref, "and now?")
        with pytest.raises(Waiting):
            ana.promote(good.ref, "production", wait=0.5)
        assert ben.approve(good.ref, "yes").state == "approved"
        assert ana.promote(good.ref, "production", wait=120).state == "done"
        plan = ana.plan(good.ref, "production")
        assert (plan.verdict.standing, plan.serves_now, plan.environment) == ("holds", 2, "production")

        status = ana.status("by sdk")
        assert {e.environment: e.version for e in status.endpoints} == {"staging": 2, "production": 2}
        assert "by sdk" in [summary.model for summary in ana.status().models]
        with pytest.raises(Conflict, match="no last known good"):
            ana.rollback("by sdk", "try", wait=30)
        with pytest.raises(BadRequest):
            ana.rollback("by sdk", " ")
        with pytest.raises(NotFound):
            ana.promote("by sdk@99", "staging")
        newer = to_production(enforcing, "by sdk", shift=200)
        assert ana.rollback("by sdk", "try", wait=60).state == "done"
        assert where(enforcing, newer)[3]
        assert ana.verify_audit().holds


def test_the_client_of_mlflow_hears_why_in_words_it_can_raise(enforcing: Node) -> None:
    from mlflow.exceptions import MlflowException, RestException

    bad = models.log_iris(enforcing.url, "by mlflow", accuracy=0.5)
    good = to_staging(enforcing, "by mlflow")
    with models.tracking(enforcing.url) as mlflow:
        with pytest.raises(MlflowException) as refusal:
            mlflow.transition_model_version_stage("by mlflow", str(bad.version), "Production")
        for gate in ("min_accuracy", "previous_stage", "staging_duration_hours"):
            assert gate in str(refusal.value)
        assert mlflow.get_model_version("by mlflow", str(bad.version)).current_stage == "None"

        with pytest.raises(RestException) as waiting:
            mlflow.transition_model_version_stage("by mlflow", str(good.version), "Production")
        assert waiting.value.error_code == "RESOURCE_CONFLICT"
        opened = recorded(enforcing, "by mlflow", "promotion:requested")[0]
        assert opened.detail["promotion"] in json.dumps(waiting.value.json)
        assert mlflow.get_model_version_by_alias("by mlflow", "staging").version == str(good.version)

        searched = "name = 'by mlflow' AND tags.model_version = '1.0.1'"
        found = until(lambda: mlflow.search_model_versions(searched), "its semantic version")
        assert [each.version for each in found] == [str(good.version)]
        assert mlflow.get_model_version("by mlflow", str(bad.version)).tags["model_version"] == "1.0.0"


def test_a_system_outside_reports_what_it_found(enforcing: Node, ana: Person) -> None:
    logged = models.log_constant(enforcing.url, "by ci")
    page = ("--url", "https://ci.example.com/runs/1")
    reported = ana.asks("check", "report", logged.model, str(logged.version), "ci/bias", "--pass", *page)

    assert (reported["passed"], reported["grade"], reported["url"]) == (True, "attested", page[1])
    assert "ci/bias" in ana.does("check", "list", logged.ref)
    assert "ci/bias passed" in ana.does("status", logged.model)
    ana.does("check", "report", logged.ref, "ci/bias", exits=2)
    ana.does("check", "report", logged.ref, "Not a name", "--pass", exits=2)
    ana.does("check", "report", "by ci@9", "ci/bias", "--pass", exits=1)
    until(lambda: "1.0.0" in ana.does("semver", "list", logged.model), "its semantic version")
    assert "1.1.0, as ana" in ana.does("semver", "set", logged.ref, "1.1.0", "--reason", "as agreed")
    assert "as agreed" in ana.does("semver", "show", logged.ref)
    ana.does("semver", "set", logged.ref, "1.1", "--reason", "no", exits=2)


def test_one_changed_byte_of_the_record_is_found_and_named(enforcing: Node, ana: Person) -> None:
    models.log_iris(enforcing.url, "tampered")
    assert ana.asks("audit", "verify")["holds"] is True
    first = "SELECT chain, number, text FROM lockgate_audit WHERE model = 'tampered' ORDER BY number LIMIT 1"
    with enforcing.reaching_past() as database:
        chain, number, written = database.execute(text(first)).one()

    def write(changed: str) -> None:
        sql = text("UPDATE lockgate_audit SET text = :text WHERE chain = :chain AND number = :number")
        with enforcing.reaching_past() as database:
            database.execute(sql, {"text": changed, "chain": chain, "number": number})

    write(written.replace("registered", "registerex", 1))
    try:
        said = ana.does("audit", "verify", exits=1)
        told = ana.asks("audit", "verify", exits=1)
    finally:
        write(written)
    assert "does NOT hold" in said
    assert chain in said
    assert (chain, number) in [(each["chain"], each["number"]) for each in told["breaks"]]
    assert len(told["breaks"]) <= 2  # the entry itself, and at most the link of the next one to it
    assert ana.asks("audit", "verify")["holds"] is True
