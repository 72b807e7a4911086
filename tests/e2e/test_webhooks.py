"""Webhooks of a real node: MLflow's client makes them, receivers written for MLflow get them, and nothing is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.databases.backends import NewDatabase
from tests.e2e.conftest import Node, node_in
from tests.integration.webhooks.receiver import Got, Receiver, receiver, until, verify_as_mlflow_says

pytestmark = pytest.mark.both_databases(long=True)

SECRET = "kept over a restart"
MLFLOWS = [
    *("registered_model.created", "model_version.created", "model_version_tag.set", "model_version_tag.deleted"),
    *("model_version_alias.created", "model_version_alias.deleted", "prompt.created", "prompt_version.created"),
    *("prompt_tag.set", "prompt_tag.deleted", "prompt_version_tag.set", "prompt_version_tag.deleted"),
    *("prompt_alias.created", "prompt_alias.deleted"),
]


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory, database_kind: str, new_database: NewDatabase) -> Iterator[Node]:
    """A node of two server processes that may call addresses inside; attempts are short, so that leases are."""
    with node_in(tmp_path_factory.mktemp("hooked"), database=new_database(database_kind)) as node:
        node.settings |= {
            "LOCKGATE_WORKERS": "2",
            "LOCKGATE_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
            "LOCKGATE_WEBHOOK_TIMEOUT": "3",
            "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        }
        yield node.start()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def client(node: Node) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(node.url, node.url)


def register(mlflow: Any, name: str, **told: Any) -> Any:
    run = mlflow.create_run("0")
    mlflow.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, **told)
    return run


def events(got: list[Got]) -> list[str]:
    return [each.event for each in got]


def test_every_event_of_mlflows_registry_arrives_with_its_documented_payload(hooked: Node, hook: Receiver) -> None:
    mlflow = client(hooked)
    mlflow.create_webhook("all", hook.url, MLFLOWS, secret=SECRET)
    mlflow.create_registered_model("fraud", {"team": "risk"}, "finds fraud")
    run = register(mlflow, "fraud", tags={"a": "b"}, description="first")
    mlflow.set_model_version_tag("fraud", "1", "checked", "x" * 3000)
    mlflow.delete_model_version_tag("fraud", "1", "checked")
    mlflow.set_registered_model_alias("fraud", "best", "1")
    mlflow.delete_registered_model_alias("fraud", "best")
    mlflow.set_registered_model_tag("fraud", "nobody", "is told of a model's own tags")
    mlflow.create_prompt("greet", description="says hello", tags={"tone": "kind"})
    mlflow.create_prompt_version("greet", "Hello {{name}}", description="v1", tags={"lang": "en"})
    mlflow.set_prompt_tag("greet", "k", "v")
    mlflow.delete_prompt_tag("greet", "k")
    mlflow.set_prompt_version_tag("greet", "1", "k", "v")
    mlflow.delete_prompt_version_tag("greet", "1", "k")
    mlflow.set_prompt_alias("greet", "live", 1)
    mlflow.delete_prompt_alias("greet", "live")

    hook.until(lambda got: set(events(got)) == set(MLFLOWS))
    got = {each.event: each for each in hook.got}
    assert events(hook.got) == [event for event in MLFLOWS if event in got], "in the order in which they happened"
    assert all(verify_as_mlflow_says(each, SECRET) for each in hook.got)
    assert got["registered_model.created"].body["data"] == {
        "name": "fraud", "tags": {"team": "risk"}, "description": "finds fraud",
    }  # fmt: skip
    assert got["model_version.created"].body["data"] == {
        "name": "fraud", "version": "1", "source": f"{run.info.artifact_uri}/model", "run_id": run.info.run_id,
        "tags": {"a": "b"}, "description": "first",
    }  # fmt: skip
    assert got["model_version_tag.set"].body["data"] == {
        "name": "fraud", "version": "1", "key": "checked", "value": "x" * 3000,
    }  # fmt: skip
    assert got["model_version_alias.created"].body["data"] == {"name": "fraud", "alias": "best", "version": "1"}
    assert got["model_version_alias.deleted"].body["data"] == {"name": "fraud", "alias": "best"}
    assert got["prompt.created"].body["data"]["tags"] == {"tone": "kind"}
    assert got["prompt_version.created"].body["data"]["template"] == "Hello {{name}}"
    assert got["prompt_version.created"].body["data"]["tags"] == {"lang": "en"}
    assert got["prompt_tag.set"].body["data"] == {"name": "greet", "key": "k", "value": "v"}


def test_moves_and_deletions_are_told_to_who_subscribed_by_command(hooked: Node, hook: Receiver) -> None:
    mlflow = client(hooked)
    made = mlflow.create_webhook("moves", hook.url, ["model_version_alias.created"], secret=SECRET)
    told = hooked.cli("webhooks", "subscribe", "moves", "version:transitioned", "version:deleted", "model:*")
    assert told.returncode == 0, told.stderr
    assert "moves hears: model_version_alias.created, model:*, version:deleted, version:transitioned" in told.stdout

    wrong = hooked.cli("webhooks", "subscribe", "moves", "version:transitoned")
    assert (wrong.returncode, "Did you mean version:transitioned?" in wrong.stderr) == (2, True), wrong.stderr
    missing = hooked.cli("webhooks", "deliveries", "nobody")
    assert (missing.returncode, "nobody not found" in missing.stderr) == (1, True), missing.stderr

    mlflow.create_registered_model("theft")
    register(mlflow, "theft")
    mlflow.transition_model_version_stage("theft", "1", "Archived")
    mlflow.delete_model_version("theft", "1")
    mlflow.rename_registered_model("theft", "burglary")
    mlflow.delete_registered_model("burglary")
    wanted = ["model.registered", "version.transitioned", "version.deleted", "model.renamed", "model.deleted"]
    hook.until(lambda got: events(got) == wanted)
    moved = hook.got[1].body["data"]
    assert (moved["name"], moved["version"], moved["from"], moved["to"]) == ("theft", "1", "None", "Archived")

    (listed,) = [each for each in hooked.json("webhooks", "list")["webhooks"] if each["id"] == made.webhook_id]
    assert listed["subscriptions"] == ["model:*", "version:deleted", "version:transitioned"]
    until(
        lambda: (
            {each["state"] for each in hooked.json("webhooks", "deliveries", "moves")["deliveries"]} == {"delivered"}
        ),
        "the log",
    )
    (first, *_) = hooked.json("webhooks", "deliveries", "moves", "--limit", "1")["deliveries"]
    again = hooked.cli("webhooks", "redeliver", first["id"])
    assert again.returncode == 0, again.stderr
    hook.until(lambda got: len(got) == 6)
    assert hook.got[5].id == hook.got[4].id == first["id"]
    assert "webhook:redelivered" in hooked.cli("audit", "list", "--limit", "5").stdout


def test_a_controller_killed_after_sending_sends_again_under_the_same_id(hooked: Node, hook: Receiver) -> None:
    answer = threading.Event()

    def held(_got: Got) -> tuple[int, dict[str, str], bytes]:
        answer.wait(30)
        return 200, {}, b""

    hook.answer = held
    mlflow = client(hooked)
    mlflow.create_webhook("killed", hook.url, ["registered_model.created"], secret=SECRET)
    mlflow.create_registered_model("arson")
    hook.until(lambda got: len(got) == 1)
    killed = hooked.pid("controller")
    os.kill(killed, signal.SIGKILL)
    answer.set()
    hook.until(lambda got: len(got) == 2)
    assert hook.got[0].body["data"] == {"name": "arson", "tags": {}, "description": ""}
    assert hooked.pid("controller") not in (0, killed)
    assert hook.got[0].id == hook.got[1].id
    assert hook.got[0].raw == hook.got[1].raw
    assert all(verify_as_mlflow_says(each, SECRET) for each in hook.got)


def test_secrets_survive_a_restart_and_stand_in_no_log(hooked: Node, hook: Receiver) -> None:
    mlflow = client(hooked)
    made = mlflow.create_webhook("lasting", hook.url, ["registered_model.created"], secret=SECRET)
    key = hooked.home / "webhooks.key"
    kept = key.read_text()
    assert key.stat().st_mode & 0o777 == 0o600
    log = "".join(each.read_text(errors="replace") for each in (hooked.home / "logs").iterdir())
    assert kept.strip() not in log
    assert SECRET not in log

    hooked.stop()
    hooked.settings["LOCKGATE_WORKERS"] = "1"  # that two read the same key was seen above
    hooked.start()
    mlflow.create_registered_model("after-restart")
    hook.until(lambda got: len(got) == 1)
    assert verify_as_mlflow_says(hook.got[0], SECRET)
    tested = mlflow.test_webhook(made.webhook_id)
    assert (tested.success, tested.response_status) == (True, 200)
    assert verify_as_mlflow_says(hook.got[1], SECRET)
