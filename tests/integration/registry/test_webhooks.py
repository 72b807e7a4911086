"""MLflow's webhooks in the governed store: on the record, and readable when a secret is not."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus
from mlflow.server import handlers
from mlflow.store.model_registry.dbmodels.models import EncryptedString, SqlWebhook
from mlflow.utils.validation import _is_public_ip
from mlflow.webhooks import delivery
from sqlalchemy import text

from lockgate import wiring
from lockgate.adapters.mlflow import store as mlflow_store
from lockgate.adapters.mlflow import webhooks as adapter
from lockgate.adapters.mlflow.governance import Governance
from lockgate.adapters.webhooks.addresses import is_public
from lockgate.config import load
from lockgate.domain.identity import Who
from lockgate.server.problems import explain
from tests.databases.backends import Database
from tests.integration.webhooks.receiver import Receiver, receiver

CREATED = WebhookEvent(WebhookEntity.REGISTERED_MODEL, WebhookAction.CREATED)
SECRET = "nobody's business"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `install` changes in MLflow, for the length of a test; receivers are at addresses inside."""
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http")
    monkeypatch.setattr(handlers, "deliver_webhook", handlers.deliver_webhook)
    monkeypatch.setattr(handlers, "test_webhook", handlers.test_webhook)
    monkeypatch.setattr(EncryptedString, "process_result_value", EncryptedString.process_result_value)
    monkeypatch.setattr(SqlWebhook, "to_mlflow_entity", SqlWebhook.to_mlflow_entity)
    adapter.install()


@pytest.fixture
def node(database: Database, tmp_path: Any) -> wiring.Node:
    return wiring.Node(load({"home": tmp_path, "database": database.uri, "policy": None}), "test")


@pytest.fixture
def store(node: wiring.Node, installed: None) -> Iterator[mlflow_store.Governed]:
    governance = Governance(node.ports, node.store.work_on, lambda: Who("ann"), explain, node.reader)
    made = mlflow_store.Governed(node.settings.database, governance=governance)
    yield made
    made._dispose_engine()
    made._engine_map.pop(node.settings.database, None)
    node.store.engine.dispose()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def store_under_another_key(node: wiring.Node, webhook: str) -> None:
    """As a node with another key, or stock MLflow with none, left it."""
    stored = Fernet(Fernet.generate_key()).encrypt(SECRET.encode()).decode()
    with node.store.changing() as work:
        words = text("UPDATE webhooks SET secret = :s WHERE webhook_id = :id")
        work.connection.execute(words, {"s": stored, "id": webhook})


def test_changes_of_a_webhook_are_on_the_record_without_its_secret(
    store: mlflow_store.Governed, node: wiring.Node
) -> None:
    made = store.create_webhook("hook", "http://localhost/a?token=hidden", [CREATED], secret=SECRET)
    store.update_webhook(made.webhook_id, status=WebhookStatus.DISABLED)
    store.delete_webhook(made.webhook_id)
    with node.ports.store.reading() as work:
        entries = work.record.read(limit=10)
    told = {"name": "hook", "url": "http://localhost/a", "events": ["registered_model.created"], "description": ""}
    active, disabled = {**told, "status": "ACTIVE"}, {**told, "status": "DISABLED"}
    assert [tuple(each.plain[field] for field in ("action", "before", "after")) for each in reversed(entries)] == [
        ("webhook:created", None, active),
        ("webhook:updated", active, disabled),
        ("webhook:deleted", disabled, None),
    ]
    assert entries[-1].plain["detail"] == {"webhook": made.webhook_id, "name": "hook", "secret": "given"}
    assert all(SECRET not in each.linked.text and "hidden" not in each.linked.text for each in entries)


def test_a_secret_that_cannot_be_read_hides_no_webhook_and_is_never_signed_with(
    store: mlflow_store.Governed, node: wiring.Node, hook: Receiver
) -> None:
    lost = store.create_webhook("lost", hook.url, [CREATED], description="mine", secret=SECRET)
    store.create_webhook("open", hook.url, [CREATED])
    store_under_another_key(node, lost.webhook_id)

    listed = {each.name: each for each in store.list_webhooks()}
    assert set(listed) == {"lost", "open"}
    assert "cannot be decrypted" in listed["lost"].description
    assert listed["lost"].description.endswith("mine")
    assert not listed["lost"].secret
    assert listed["open"].description is None
    tested = handlers.test_webhook(store.get_webhook(lost.webhook_id))
    assert (tested.success, "cannot be decrypted" in tested.error_message) == (False, True)
    assert hook.got == []

    store.update_webhook(lost.webhook_id, description="still mine")
    store.update_webhook(lost.webhook_id, secret="a new one")
    found = store.get_webhook(lost.webhook_id)
    assert (found.secret, found.description) == ("a new one", "still mine")
    assert handlers.test_webhook(found).success


def test_mlflows_handlers_send_nothing_of_the_registrys_themselves(
    store: mlflow_store.Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(delivery, "deliver_webhook", lambda **told: sent.append(told["event"]))
    for event in (CREATED, WebhookEvent(WebhookEntity.PROMPT_ALIAS, WebhookAction.DELETED)):
        handlers.deliver_webhook(event=event, payload={}, store=store)
    assert sent == []
    exceeded = WebhookEvent(WebhookEntity.BUDGET_POLICY, WebhookAction.EXCEEDED)
    handlers.deliver_webhook(event=exceeded, payload={}, store=store)
    assert sent == [exceeded]


def test_what_counts_as_public_is_what_mlflow_counts_as_public() -> None:
    some = [*(f"{a}.{b}.0.1" for a in range(256) for b in range(0, 256, 17)), "::", "::1", "fc00::1", "2001:db8::1"]
    some += ["::ffff:192.168.0.1", "2002:c0a8:1::", "64:ff9b::c0a8:1", "64:ff9b::808:808", "2600::1", "ff02::1"]
    assert [each for each in some if is_public(each) is not _is_public_ip(ipaddress.ip_address(each))] == []
