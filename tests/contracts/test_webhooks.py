"""What the outbox and the queue of deliveries promise: nothing heard is lost, nothing is owed twice, nobody waits."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.sql.webhooks_queue import SqlDeliveries
from lockgate.domain.webhooks import Attempt, Delivery, DeliveryState, Persistence, after
from lockgate.usecases.ports import LostClaim
from lockgate.usecases.webhook_ports import Outgoing, Owed
from tests.contracts.databases import Mlflow
from tests.contracts.makers import T0, HandClock, entry
from tests.contracts.webhooks import add_webhook, change_webhook

LEASE = timedelta(seconds=30)
TAG_SET = "model_version_tag.set"


@pytest.fixture
def owed(store: SqlStore) -> SqlDeliveries:
    return SqlDeliveries(store)


def tell(store: SqlStore, event: str = TAG_SET, **told: object) -> None:
    with store.writing(None) as work:
        work.webhooks.owe(event, told, T0)


def outbox(engine: Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT topic, payload FROM lockgate_outbox ORDER BY id"))
        return [(row.topic, row.payload) for row in rows]


def log_of(store: SqlStore, webhook: str) -> list[Delivery]:
    with store.reading() as work:
        return list(work.webhooks.deliveries(webhook))


def settle(store: SqlStore, owed: SqlDeliveries, outgoing: Outgoing, attempt: Attempt, clock: HandClock) -> Delivery:
    delivery = after(outgoing.delivery, attempt, clock.now(), Persistence(), 0.5)
    with store.writing(None) as work:
        owed.settle(work, outgoing.claim, delivery)
    return delivery


def claimed(owed: SqlDeliveries, webhook: str, owner: str = "one") -> Outgoing:
    found = owed.claim(webhook, owner, LEASE)
    assert found is not None
    return found


def test_what_nobody_hears_is_not_written_down(store: SqlStore, engine: Engine, mlflow: Mlflow) -> None:
    add_webhook(engine, "other", ["prompt.created"])
    add_webhook(engine, "off", status="DISABLED")
    add_webhook(engine, "elsewhere", workspace="team-b")
    mlflow.model("fraud")
    tell(store)
    with store.writing("fraud") as work:
        work.record.write(entry())
    assert outbox(engine) == []


def test_an_entry_that_a_webhook_hears_is_owed_as_it_was_hashed(
    store: SqlStore, engine: Engine, mlflow: Mlflow
) -> None:
    mlflow.model("fraud")
    add_webhook(engine, "a")
    with store.writing(None) as work:
        work.webhooks.subscribe("a", ["version:*"])
    with store.writing("fraud") as work:
        linked = work.record.write(entry(why="größer", detail={"list": [1, None, True]}))
        work.record.write(entry("promotion:done"))
    assert outbox(engine) == [("version:transitioned", linked.text)]


def test_a_change_that_is_undone_owes_nothing(store: SqlStore, engine: Engine) -> None:
    add_webhook(engine, "a")
    with store.changing() as work:
        work.webhooks.owe(TAG_SET, {}, T0)
        work.connection.rollback()
    assert outbox(engine) == []


def test_each_webhook_that_hears_an_event_gets_a_delivery_of_it_once(
    store: SqlStore, engine: Engine, owed: SqlDeliveries
) -> None:
    add_webhook(engine, "a")
    add_webhook(engine, "b", [TAG_SET, "prompt.created"])
    add_webhook(engine, "c", ["prompt.created"])
    tell(store, name="fraud")
    assert owed.look() == Owed(True, ())
    assert owed.share_out() == 1
    assert owed.share_out() == 0
    assert outbox(engine) == []
    assert set(owed.look().webhooks) == {"a", "b"}
    one, two = claimed(owed, "a"), claimed(owed, "b")
    assert one.delivery.id != two.delivery.id
    assert json.loads(one.body) == {
        "entity": "model_version_tag", "action": "set", "timestamp": T0.isoformat(), "data": {"name": "fraud"},
    }  # fmt: skip
    assert one.body == two.body
    assert owed.claim("c", "one", LEASE) is None


def test_a_webhook_deleted_before_the_event_is_shared_out_gets_nothing(
    store: SqlStore, engine: Engine, owed: SqlDeliveries
) -> None:
    add_webhook(engine, "a")
    tell(store)
    change_webhook(engine, "a", "deleted_timestamp", 5)
    assert owed.share_out() == 1
    assert owed.look() == Owed(False, ())


def test_one_receiver_is_sent_one_thing_at_a_time_and_the_oldest_first(
    store: SqlStore, engine: Engine, owed: SqlDeliveries, clock: HandClock
) -> None:
    add_webhook(engine, "a")
    for number in range(3):
        tell(store, number=number)
    owed.share_out()
    seen = []
    while (outgoing := owed.claim("a", "one", LEASE)) is not None:
        assert owed.claim("a", "two", LEASE) is None
        seen.append(json.loads(outgoing.body)["data"]["number"])
        settle(store, owed, outgoing, Attempt(200), clock)
    assert seen == [0, 1, 2]


def test_a_delivery_whose_holder_died_is_sent_again_under_the_same_id(
    store: SqlStore, engine: Engine, owed: SqlDeliveries, clock: HandClock
) -> None:
    add_webhook(engine, "a")
    tell(store)
    owed.share_out()
    first = claimed(owed, "a", "one")
    clock.move(seconds=31)
    assert owed.look() == Owed(False, ("a",))
    second = claimed(owed, "a", "two")
    assert second.delivery.id == first.delivery.id
    with pytest.raises(LostClaim):
        settle(store, owed, first, Attempt(200), clock)
    settle(store, owed, second, Attempt(200), clock)
    assert [each.state for each in log_of(store, "a")] == [DeliveryState.DELIVERED]


def test_a_failed_delivery_waits_for_its_pause_and_lets_the_next_one_pass(
    store: SqlStore, engine: Engine, owed: SqlDeliveries, clock: HandClock
) -> None:
    add_webhook(engine, "a")
    tell(store, number=0)
    tell(store, number=1)
    owed.share_out()
    settle(store, owed, claimed(owed, "a"), Attempt(500, "it answered 500"), clock)
    second = claimed(owed, "a")
    assert json.loads(second.body)["data"] == {"number": 1}
    settle(store, owed, second, Attempt(204), clock)
    assert owed.look() == Owed(False, ())
    clock.move(seconds=2)
    again = claimed(owed, "a")
    assert (again.delivery.attempts, again.delivery.last_status, again.delivery.last_error) == (
        1, 500, "it answered 500",
    )  # fmt: skip


def test_where_it_goes_is_looked_up_at_each_attempt(store: SqlStore, engine: Engine, owed: SqlDeliveries) -> None:
    add_webhook(engine, "a")
    tell(store)
    tell(store)
    owed.share_out()
    change_webhook(engine, "a", "url", "https://example.org/moved")
    target = claimed(owed, "a").target
    assert target is not None
    assert (target.url, target.active) == ("https://example.org/moved", True)


def test_events_are_shared_out_once_however_many_controllers_do_it(
    store: SqlStore, engine: Engine, owed: SqlDeliveries
) -> None:
    add_webhook(engine, "a")
    for number in range(60):
        tell(store, number=number)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(owed.share_out())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(counts) == 60
    assert len(log_of(store, "a")) == 60
    assert outbox(engine) == []


def test_a_delivery_can_be_sent_again_with_all_its_attempts(
    store: SqlStore, engine: Engine, owed: SqlDeliveries, clock: HandClock
) -> None:
    add_webhook(engine, "a")
    tell(store)
    owed.share_out()
    ended = settle(store, owed, claimed(owed, "a"), Attempt(410, "gone"), clock)
    assert ended.state is DeliveryState.FAILED
    assert owed.claim("a", "one", LEASE) is None
    clock.move(days=3)
    with store.writing(None) as work:
        work.webhooks.redeliver(ended.id, clock.now())
    again = claimed(owed, "a").delivery
    assert (again.id, again.attempts, again.state) == (ended.id, 0, DeliveryState.WAITING)


def test_the_log_forgets_what_ended_long_ago_and_nothing_that_waits(
    store: SqlStore, engine: Engine, owed: SqlDeliveries, clock: HandClock
) -> None:
    add_webhook(engine, "a")
    for _ in range(3):
        tell(store)
    owed.share_out()
    settle(store, owed, claimed(owed, "a"), Attempt(200), clock)
    clock.move(days=29)
    settle(store, owed, claimed(owed, "a"), Attempt(404, final=True), clock)
    clock.move(days=2)
    assert owed.clean(timedelta(days=30)) == 1
    assert owed.clean(timedelta(days=30)) == 0
    assert sorted(each.state for each in log_of(store, "a")) == [DeliveryState.FAILED, DeliveryState.WAITING]


def test_webhooks_are_listed_with_what_they_hear_and_what_waits_for_them(
    store: SqlStore, engine: Engine, owed: SqlDeliveries
) -> None:
    add_webhook(engine, "b", [TAG_SET, "prompt.created"])
    add_webhook(engine, "a", status="DISABLED")
    add_webhook(engine, "gone")
    change_webhook(engine, "gone", "deleted_timestamp", 5)
    with store.writing(None) as work:
        work.webhooks.subscribe("b", ["promotion:*", "version:deleted"])
    tell(store)
    owed.share_out()
    with store.reading() as work:
        found = work.webhooks.all()
        assert work.webhooks.waiting() == {"b": 1}
        assert work.webhooks.get("gone") is None
    assert [(each.id, each.active, each.events, each.subscriptions) for each in found] == [
        ("a", False, (TAG_SET,), ()),
        ("b", True, (TAG_SET, "prompt.created"), ("promotion:*", "version:deleted")),
    ]


def test_the_workspace_is_told_only_where_workspaces_are_on(store: SqlStore, engine: Engine) -> None:
    add_webhook(engine, "a", workspace="team-b")
    add_webhook(engine, "b")
    with store.within("team-b"):
        tell(store)
    queue = SqlDeliveries(store, workspaces=True)
    queue.share_out()
    outgoing = claimed(queue, "a")
    assert json.loads(outgoing.body)["workspace"] == outgoing.claim.workspace == "team-b"
    assert queue.claim("b", "one", LEASE) is None


def test_the_next_delivery_is_found_at_once_however_many_wait_or_lie_in_the_log(
    store: SqlStore, engine: Engine, owed: SqlDeliveries, clock: HandClock
) -> None:
    add_webhook(engine, "a")
    tell(store)
    owed.share_out()
    settle(store, owed, claimed(owed, "a"), Attempt(200), clock)
    many = (
        "INSERT INTO lockgate_deliveries (delivery, workspace, webhook, event, body, state, created_at, due_at)"
        " SELECT {id}, workspace, webhook, event, body, CASE WHEN n % 2 = 0 THEN 'waiting' ELSE 'delivered' END,"
        " created_at, due_at + n FROM lockgate_deliveries, {numbers} WHERE id = 1"
    )
    numbers = {
        "sqlite": "(WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < 4000) SELECT n FROM c)",
        "postgresql": "generate_series(2, 4000) AS c(n)",
    }
    kind = engine.dialect.name
    with engine.begin() as connection:
        connection.execute(text(many.format(id="CAST(n AS VARCHAR(36))", numbers=numbers[kind])))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE lockgate_deliveries"))
    plans: list[str] = []

    def explain(connection: Connection, _cursor: object, words: str, values: Any, *_more: object) -> None:
        if "ORDER BY lockgate_deliveries.due_at" in words:
            beside = connection.connection.cursor()
            beside.execute(("EXPLAIN QUERY PLAN " if kind == "sqlite" else "EXPLAIN ") + words, values)
            plans.append(str(beside.fetchall()))

    event.listen(engine, "before_cursor_execute", explain)
    clock.move(seconds=1)
    assert claimed(owed, "a").delivery.id == "2"
    (plan,) = plans
    assert "lockgate_deliveries_due" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
