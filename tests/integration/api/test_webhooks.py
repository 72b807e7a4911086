"""The log of webhooks by the SDK: what is shown, what is refused, and what goes on the record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.sql.webhooks_queue import SqlDeliveries
from lockgate.sdk.client import Lockgate
from lockgate.sdk.errors import BadRequest, Conflict, NotFound
from tests.contracts.webhooks import SECRET, add_webhook
from tests.integration.api.conftest import Machine

EVENT = "model_version.created"


@pytest.fixture
def store(machine: Machine) -> SqlStore:
    assert isinstance(machine.ports.store, SqlStore)
    return machine.ports.store


@pytest.fixture
def ann(machine: Machine) -> Iterator[Lockgate]:
    with machine.as_("ann") as client:
        yield client


def test_a_webhook_is_shown_with_what_it_hears_and_its_log_and_never_its_secret(ann: Lockgate, store: SqlStore) -> None:
    add_webhook(store.engine, "hook", [EVENT])
    changed = ann.subscribe("hook", ["promotion:*"])
    assert (changed.events, changed.subscriptions) == ((EVENT,), ("promotion:*",))
    with store.writing(None) as work:
        work.webhooks.owe(EVENT, {"name": "fraud"})
    SqlDeliveries(store).share_out()

    (listed,) = ann.webhooks()
    assert (listed.id, listed.active, listed.waiting, listed.subscriptions) == ("hook", True, 1, ("promotion:*",))
    (delivery,) = ann.deliveries("hook")
    assert (delivery.event, delivery.state, delivery.attempts) == (EVENT, "waiting", 0)
    assert SECRET not in repr((listed, delivery))
    assert ann.unsubscribe("hook").subscriptions == ()
    actions = [(entry.action, entry.who.name) for entry in ann.audit(limit=2)]
    assert actions == [("webhook:unsubscribed", "ann"), ("webhook:subscribed", "ann")]
    with pytest.raises(Conflict, match="about to be sent"):
        ann.redeliver(delivery.id)


def test_what_is_not_there_or_not_known_is_said_with_a_hint(ann: Lockgate, store: SqlStore) -> None:
    add_webhook(store.engine, "hook", [EVENT])
    with pytest.raises(NotFound) as missing:
        ann.deliveries("nobody")
    assert "lockgate webhooks list" in missing.value.hint
    with pytest.raises(NotFound):
        ann.redeliver("none")
    with pytest.raises(BadRequest) as wrong:
        ann.subscribe("hook", ["promotion:finished"])
    assert "no event that Lockgate knows" in wrong.value.message
    with pytest.raises(BadRequest):
        ann.subscribe("hook", [])
    with pytest.raises(BadRequest):
        ann.unsubscribe("hook", ["promotion:done"])
    assert ann.audit(action="webhook:subscribed") == ()
