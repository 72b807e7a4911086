"""From an owed event to a receiver and the log: retries, recovery, and receivers that do not wait for one another."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.sql.webhooks_queue import SqlDeliveries
from lockgate.adapters.system import SortableIds, SystemClock
from lockgate.adapters.webhooks.sender import HttpSender
from lockgate.controller.deliveries import Deliverer
from lockgate.domain.audit import Entry
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.identity import Who
from lockgate.domain.webhooks import Delivery, DeliveryState, Persistence
from lockgate.testing.artifacts import ArtifactsInMemory
from lockgate.usecases import webhooks
from lockgate.usecases.ports import LostClaim, Ports
from lockgate.usecases.webhook_ports import Outgoing
from lockgate.usecases.webhooks import Post
from tests.contracts.databases import Mlflow
from tests.contracts.webhooks import KEY, SECRET, add_webhook, change_webhook
from tests.integration.webhooks.receiver import Got, Receiver, until, verify_as_mlflow_says

ANN = Who("ann", via="cli")
EVENT = "model_version_alias.created"


class QuickClock:
    """The wall clock, moved ahead by hand: pauses need not be waited for."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Office:
    """Controllers of one database, in threads."""

    store: SqlStore
    engine: Engine
    ports: Ports
    clock: QuickClock
    persistence: Persistence

    def owe(self, count: int = 1, event: str = EVENT) -> None:
        for number in range(count):
            with self.store.writing(None) as work:
                work.webhooks.owe(event, {"number": number}, self.clock.now())

    def log(self, webhook: str) -> list[Delivery]:
        with self.store.reading() as work:
            return list(work.webhooks.deliveries(webhook))

    @contextlib.contextmanager
    def controllers(
        self,
        count: int = 1,
        *,
        timeout: float = 20.0,
        key: str = KEY,
        carry: Callable[[Post], Callable[[Outgoing], Any]] | None = None,
    ) -> Iterator[None]:
        stop, threads, senders = threading.Event(), [], []
        for number in range(count):
            sender = HttpSender(key, timeout=timeout, private=True, schemes=("http",))
            senders.append(sender)
            queue = SqlDeliveries(self.store)
            post = Post(self.ports, queue, sender, self.persistence)
            deliver = carry(post) if carry else post.carry
            deliverer = Deliverer(
                queue, f"controller-{number}", deliver, timeout=timedelta(seconds=timeout), keep=timedelta(days=30)
            )
            threads.append(threading.Thread(target=deliverer.run, args=(stop,), daemon=True))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
            for sender in senders:
                sender.close()


@pytest.fixture
def office(store: SqlStore, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr("lockgate.controller.deliveries.LOOK_SECONDS", 0.05)
    clock = QuickClock()
    store._clock = clock
    ports = Ports(store, SqlQueue(store), ArtifactsInMemory(), clock, SortableIds(), "tests", SystemClock().now())
    return Office(store, engine, ports, clock, Persistence())


def numbers(got: list[Got]) -> list[int]:
    return [each.body["data"]["number"] for each in got]


def test_events_arrive_once_and_in_order_at_a_receiver_in_good_health(office: Office, hook: Receiver) -> None:
    add_webhook(office.engine, "a", [EVENT], url=hook.url)
    office.owe(12)
    with office.controllers(3):
        hook.until(lambda got: len(got) == 12)
        until(lambda: {each.state for each in office.log("a")} == {DeliveryState.DELIVERED}, "the log")
    assert numbers(hook.got) == list(range(12))
    assert len({each.id for each in hook.got}) == 12


def test_a_receiver_that_fails_and_recovers_gets_everything_under_the_ids_it_saw(
    office: Office, hook: Receiver
) -> None:
    add_webhook(office.engine, "a", [EVENT], url=hook.url)
    hook.status(500, body=b"out of order")
    office.owe(3)
    with office.controllers():
        hook.until(lambda got: len({each.id for each in got}) == 3)
        until(lambda: [each.attempts for each in office.log("a")] == [1, 1, 1], "the first attempts")
        failed = office.log("a")
        hook.status(200)
        office.clock.ahead += timedelta(minutes=1)
        until(lambda: {each.state for each in office.log("a")} == {DeliveryState.DELIVERED}, "recovery")
    assert {(each.last_status, each.last_error, each.answer) for each in failed} == {
        (500, "it answered 500", "out of order")
    }
    tries = [each.id for each in hook.got]
    assert sorted(tries[:3]) == sorted(tries[3:])
    assert {each.headers["x-mlflow-delivery-id"] for each in hook.got} == {each.id for each in failed}


def test_a_slow_receiver_delays_only_itself(office: Office, hook: Receiver, other_hook: Receiver) -> None:
    release = threading.Event()

    def slowly(_got: Got) -> tuple[int, dict[str, str], bytes]:
        release.wait(60)
        return 200, {}, b""

    hook.answer = slowly
    add_webhook(office.engine, "slow", [EVENT], url=hook.url)
    add_webhook(office.engine, "quick", [EVENT], url=other_hook.url)
    office.owe(5)
    with office.controllers():
        other_hook.until(lambda got: len(got) == 5)
        assert len(hook.got) <= 1
        release.set()
        hook.until(lambda got: len(got) == 5)
    assert numbers(hook.got) == numbers(other_hook.got) == [0, 1, 2, 3, 4]


def test_a_controller_that_ends_between_sending_and_settling_leaves_a_delivery_that_is_sent_again(
    office: Office, hook: Receiver
) -> None:
    add_webhook(office.engine, "a", [EVENT], url=hook.url)
    office.owe()

    def dying(post: Post) -> Callable[[Outgoing], Any]:
        def carry(outgoing: Outgoing) -> Any:
            assert outgoing.target is not None
            post.sender.send(outgoing.target, outgoing.delivery.id, outgoing.body)
            raise LostClaim("it got as far as this")

        return carry

    with office.controllers(carry=dying):
        hook.until(lambda got: len(got) == 1)
    with office.controllers():
        office.clock.ahead += timedelta(minutes=5)
        hook.until(lambda got: len(got) == 2)
        until(lambda: office.log("a")[0].state is DeliveryState.DELIVERED, "delivery")
    assert hook.got[0].id == hook.got[1].id
    assert hook.got[0].raw == hook.got[1].raw


def test_a_secret_of_a_lost_home_holds_back_its_own_webhook_alone_until_its_key_is_back(
    office: Office, hook: Receiver, other_hook: Receiver
) -> None:
    add_webhook(office.engine, "signed", [EVENT], url=hook.url)
    add_webhook(office.engine, "plain", [EVENT], url=other_hook.url, secret=None)
    office.owe()
    with office.controllers(key=Fernet.generate_key().decode()):
        other_hook.until(lambda got: len(got) == 1)
        until(lambda: office.log("signed")[0].attempts == 1, "the first attempt")
    held = office.log("signed")[0]
    assert (held.state, held.last_status, held.answer) == (DeliveryState.WAITING, None, "")
    assert "cannot be decrypted" in held.last_error
    assert "set the secret anew" in held.last_error
    assert hook.got == []

    office.clock.ahead += timedelta(minutes=1)
    with office.controllers():
        hook.until(lambda got: len(got) == 1)
    assert verify_as_mlflow_says(hook.got[0], SECRET)
    assert hook.got[0].id == held.id


def test_a_receiver_that_is_gone_is_told_nothing_more(office: Office, hook: Receiver) -> None:
    add_webhook(office.engine, "a", [EVENT], url=hook.url)
    hook.status(410)
    office.owe(2)
    with office.controllers():
        until(lambda: {each.state for each in office.log("a")} == {DeliveryState.FAILED}, "the end of both")
    assert len(hook.got) == 1
    with office.store.reading() as work:
        found = work.webhooks.get("a")
        assert found is not None
        assert not found.active
        (entry,) = work.record.read(action="webhook:disabled")
    assert entry.plain["who"] == {
        "name": "lockgate", "verified": True, "via": "controller", "kind": "service", "address": "", "request": "",
        "token": "",
    }  # fmt: skip
    assert entry.plain["reason"] == "its receiver answered 410 Gone"
    assert {each.last_error for each in office.log("a")} == {"it answered 410", "the webhook is disabled"}


def test_a_webhook_deleted_while_something_waits_for_it_gets_nothing(office: Office, hook: Receiver) -> None:
    add_webhook(office.engine, "a", [EVENT], url=hook.url)
    office.owe()
    SqlDeliveries(office.store).share_out()
    change_webhook(office.engine, "a", "deleted_timestamp", 7)
    with office.controllers():
        until(lambda: office.log("a")[0].state is DeliveryState.FAILED, "the end")
    assert office.log("a")[0].last_error == "the webhook was deleted"
    assert hook.got == []


def test_a_subscription_brings_the_records_entries_and_is_on_the_record(
    office: Office, hook: Receiver, engine: Engine
) -> None:
    Mlflow(engine).model("fraud")
    add_webhook(office.engine, "a", ["prompt.created"], url=hook.url)
    webhooks.subscribe(office.ports, "a", ["version:*", "model:deleted", "version:*"], ANN)
    with office.store.writing("fraud") as work:
        work.record.write(Entry("version:transitioned", ANN, office.clock.now(), "fraud", 2, "None", "Staging", "go"))
        work.record.write(Entry("promotion:done", ANN, office.clock.now(), "fraud", 2))
    with office.controllers():
        (got,) = hook.until(lambda got: len(got) == 1)
    assert (got.event, got.body["data"]["version"], got.body["data"]["to"]) == ("version.transitioned", "2", "Staging")
    after = webhooks.unsubscribe(office.ports, "a", [], ANN)
    assert after.subscriptions == ()
    with office.store.reading() as work:
        told = [(each.plain["action"], each.plain["detail"]) for each in work.record.read(limit=10)]
    events = ["model:deleted", "version:*"]
    assert ("webhook:subscribed", {"webhook": "a", "name": "a", "events": events}) in told
    assert ("webhook:unsubscribed", {"webhook": "a", "name": "a", "events": events}) in told


def test_redelivery_is_sent_under_its_old_id_and_is_on_the_record(office: Office, hook: Receiver) -> None:
    add_webhook(office.engine, "a", [EVENT], url=hook.url)
    hook.status(404)
    office.persistence = Persistence(attempts=1)
    office.owe()
    with office.controllers():
        until(lambda: [each.state for each in office.log("a")] == [DeliveryState.FAILED], "the failure")
        hook.status(200)
        (failed,) = office.log("a")
        webhooks.redeliver(office.ports, failed.id, ANN)
        until(lambda: office.log("a")[0].state is DeliveryState.DELIVERED, "redelivery")
    assert [each.id for each in hook.got] == [failed.id, failed.id]
    with office.store.reading() as work:
        (entry,) = work.record.read(action="webhook:redelivered")
    assert entry.plain["detail"] == {"webhook": "a", "delivery": failed.id, "event": EVENT}


def test_what_cannot_be_done_to_a_webhook_says_why_and_changes_nothing(office: Office) -> None:
    add_webhook(office.engine, "a", [EVENT])
    office.owe()
    SqlDeliveries(office.store).share_out()
    (waiting,) = office.log("a")
    with pytest.raises(Conflict, match="about to be sent"):
        webhooks.redeliver(office.ports, waiting.id, ANN)
    change_webhook(office.engine, "a", "status", "DISABLED")
    with pytest.raises(Conflict, match="disabled"):
        webhooks.redeliver(office.ports, waiting.id, ANN)
    with pytest.raises(NotFound):
        webhooks.redeliver(office.ports, "no-such-delivery", ANN)
    with pytest.raises(NotFound):
        webhooks.deliveries(office.ports, "nobody", 10)
    with pytest.raises(NotFound):
        webhooks.subscribe(office.ports, "nobody", ["*"], ANN)
    with pytest.raises(BadInput):
        webhooks.subscribe(office.ports, "a", ["promotion:finished"], ANN)
    with pytest.raises(BadInput):
        webhooks.unsubscribe(office.ports, "a", ["promotion:done"], ANN)
    with office.store.reading() as work:
        assert work.record.read() == []


def test_an_idle_look_writes_nothing(office: Office) -> None:
    add_webhook(office.engine, "a", [EVENT])
    queue = SqlDeliveries(office.store)
    assert not queue.look().events
    with office.store.reading() as work:
        before = work.webhooks.deliveries("a")
    assert queue.clean(timedelta(days=30)) == 0
    assert list(before) == []
