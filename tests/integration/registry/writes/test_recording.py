"""Each change of the registry, of people and of what they hold leaves an entry that is whole and holds no secret."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus

from lockgate.domain.access import Grant, Role
from lockgate.domain.identity import SERVICE, Who
from lockgate.domain.versions import VersionRef
from lockgate.usecases import checks, people, tokens, webhooks
from tests.databases.backends import Backend
from tests.integration.registry.writes.registry import add_models, add_versions, registry
from tests.integration.registry.writes.test_cost import CHANGES
from tests.integration.usecases.recorded import faults, watching

ANN = Who("ann", False, "mlflow", address="192.0.2.1", request="req-1")
ROOT = replace(ANN, name="root", verified=True)
SECRETS = ("the-secret-of-a-hook", "another-secret", "a-token-in-the-query", "hunter2", "XXXXXXXXXXXXXXXXXXXXXXXX")


def test_every_change_is_on_the_record_with_all_its_fields_and_without_secrets(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = backend.fresh()
    add_models(database.engine, ["big"])
    add_versions(database.engine, "big", ["None"] * 10)
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    source = tmp_path / "home" / "artifacts" / "files"
    source.mkdir(parents=True)
    (source / "MLmodel").write_text("flavors: {}")
    with registry(database, tmp_path / "home", lambda: ANN) as opened:
        store, node = opened.store, opened.node
        ports = node.ports
        with node.store.reading() as work:
            before = len(work.record.read(limit=1000))
        watch = watching(monkeypatch)
        for change in CHANGES.values():
            change(store)
        number = int(store.create_model_version("big", source.as_uri()).version)
        checks.report(ports, checks.Report(VersionRef("big", number), "security", passed=True), ANN)

        event = WebhookEvent(WebhookEntity.REGISTERED_MODEL, WebhookAction.CREATED)
        url = f"https://me:{SECRETS[3]}@localhost/hook/{SECRETS[4]}/x?token={SECRETS[2]}"
        hook = store.create_webhook("hook", url, [event], secret=SECRETS[0])
        store.update_webhook(hook.webhook_id, status=WebhookStatus.DISABLED, secret=SECRETS[1])
        webhooks.subscribe(ports, hook.webhook_id, ["promotion:*"], ANN)
        webhooks.unsubscribe(ports, hook.webhook_id, [], ANN)
        store.delete_webhook(hook.webhook_id)

        held = [one_time for one_time in [people.add(ports, node.passwords, "root", ANN).one_time] if one_time]
        people.add(ports, node.passwords, "ci", ROOT, kind=SERVICE)
        people.grant(ports, "ci", Grant(Role.CONTRIBUTOR, "fraud-*"), ROOT)
        made = tokens.create(ports, ROOT, person="ci", expires_in=timedelta(days=1))
        tokens.revoke(ports, made.token.id, ROOT)
        people.revoke(ports, "ci", Grant(Role.CONTRIBUTOR, "fraud-*"), ROOT)
        people.disable(ports, "ci", ROOT)
        people.enable(ports, "ci", ROOT)

        with node.store.reading() as work:
            entries = work.record.read(limit=1000)
            assert work.record.verify()[1] == []
    new = entries[: len(entries) - before]
    assert faults(new) == []
    assert watch.silent == []
    assert watch.looked_at > len(CHANGES)
    written = "\n".join(each.linked.text for each in new)
    assert [secret for secret in (*SECRETS, *held, made.secret) if secret in written] == []
    assert {str(each.plain["action"]).partition(":")[0] for each in new} >= {
        *("model", "version", "alias", "promotion", "approval", "webhook", "people", "token", "check"),
    }
    tags = [
        (each.plain["before"], each.plain["after"]) for each in reversed(new) if "tagged" in str(each.plain["action"])
    ]
    assert tags[:2] == [(None, "d"), ("d", None)]
