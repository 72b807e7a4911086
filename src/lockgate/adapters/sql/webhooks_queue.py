"""From the outbox to deliveries, and deliveries under leases: what the controller takes, sends and settles."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, insert, literal, null, select, union_all, update

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.dialects import hold_name, skipping_held
from lockgate.adapters.sql.leases import leased
from lockgate.adapters.sql.store import SqlStore, SqlWork
from lockgate.adapters.sql.tables import LEASED_DELIVERY, WAITING_DELIVERY, deliveries, outbox
from lockgate.adapters.sql.webhooks import ACTIVE, LISTENERS, delivery_of, has_webhooks
from lockgate.domain.promotion import Claim
from lockgate.domain.webhooks import Delivery, DeliveryState, body_of, hears
from lockgate.usecases.ports import LostClaim, Work
from lockgate.usecases.webhook_ports import Outgoing, Owed, Target

_AT_A_TIME = 200


class SqlDeliveries:
    """`Deliveries`. `workspaces` says whether receivers are told the workspace, as MLflow does where they are on."""

    def __init__(self, store: SqlStore, *, workspaces: bool = False) -> None:
        self._store = store
        self._workspaces = workspaces

    def look(self) -> Owed:
        with self._store.reading() as work:
            now = self._store.now(work.connection)
            owed = select(null().label("webhook")).where(exists(select(literal(1)).select_from(outbox)))
            due = select(deliveries.c.webhook).where(*_free(now)).distinct()
            found = work.connection.execute(union_all(owed, due)).scalars().all()
        return Owed(None in found, tuple(each for each in found if each is not None))

    def share_out(self) -> int:
        with self._store.changing() as work:
            connection = work.connection
            rows = connection.execute(skipping_held(select(outbox).order_by(outbox.c.id).limit(_AT_A_TIME))).all()
            if not rows:
                return 0
            listeners = _listeners(connection)
            now = self._store.now(connection)
            new = [each for row in rows for each in self._for_each(row, listeners, now)]
            if new:
                connection.execute(insert(deliveries), new)
            connection.execute(delete(outbox).where(outbox.c.id.in_([row.id for row in rows])))
            return len(rows)

    def claim(self, webhook: str, owner: str, lease: timedelta) -> Outgoing | None:
        with self._store.changing() as work:
            connection = work.connection
            now = self._store.now(connection)
            here = deliveries.c.webhook == webhook
            # one at a time for each receiver, whoever sends: what happened first is told first while nothing goes wrong
            hold_name(connection, f"webhook/{webhook}")
            under_way = select(deliveries.c.id).where(here, LEASED_DELIVERY, deliveries.c.lease_until >= now).limit(1)
            if connection.execute(under_way).first() is not None:
                return None
            oldest = (
                select(deliveries.c.id).where(here, *_free(now)).order_by(deliveries.c.due_at, deliveries.c.id).limit(1)
            )
            id = connection.execute(skipping_held(oldest)).scalar()
            if id is None:
                return None
            taken = leased(owner, now + lease) | {"fence": deliveries.c.fence + 1}
            connection.execute(update(deliveries).where(deliveries.c.id == id).values(taken))
            row = connection.execute(select(deliveries).where(deliveries.c.id == id)).one()
            claim = Claim(row.delivery, owner, row.fence, row.workspace)
            return Outgoing(delivery_of(row), row.body, _target(connection, webhook), claim)

    def settle(self, work: Work, claim: Claim, delivery: Delivery) -> None:
        if not isinstance(work, SqlWork):
            raise TypeError(f"a delivery is settled in a transaction of its own store, not in {type(work).__name__}")
        row = deliveries.c
        stands = (row.delivery == claim.id, row.fence == claim.fence, row.lease_owner == claim.owner)
        values = {
            "state": delivery.state.value,
            "attempts": delivery.attempts,
            "due_at": delivery.due_at,
            "attempted_at": delivery.attempted_at,
            "delivered_at": delivery.delivered_at,
            "last_status": delivery.last_status,
            "last_error": delivery.last_error,
            "answer": delivery.answer,
        }
        settled = update(deliveries).where(*stands).values(values | leased(None, None))
        if work.connection.execute(settled).rowcount != 1:
            raise LostClaim(f"{claim.owner} no longer holds {claim.id}")

    def clean(self, keep: timedelta) -> int:
        ended = (deliveries.c.state != DeliveryState.WAITING.value,)
        with self._store.reading() as looking:
            old = deliveries.c.attempted_at < self._store.now(looking.connection) - keep
            found = looking.connection.execute(
                select(deliveries.c.id).where(*ended, old).order_by(deliveries.c.attempted_at).limit(_AT_A_TIME)
            )
            ids = found.scalars().all()
        if not ids:
            return 0
        with self._store.changing() as work:
            return work.connection.execute(delete(deliveries).where(deliveries.c.id.in_(ids), *ended)).rowcount

    def _for_each(
        self, row: Row[Any], listeners: dict[tuple[str, str], set[str]], now: datetime
    ) -> Iterator[dict[str, Any]]:
        """A delivery of the event for each webhook that hears it. Without one the event was of interest to nobody."""
        hearing = [webhook for (workspace, webhook), patterns in listeners.items()
                   if workspace == row.workspace and hears(patterns, row.topic)]  # fmt: skip
        if not hearing:
            return
        told = json.loads(row.payload)
        body = body_of(row.topic, told, row.created_at, row.workspace if self._workspaces else None)
        for webhook in hearing:
            yield {
                "delivery": str(uuid.uuid4()),
                "workspace": row.workspace,
                "webhook": webhook,
                "event": row.topic,
                "body": body,
                "state": DeliveryState.WAITING.value,
                "created_at": row.created_at,
                # who made the change may have a clock that is ahead of the database's
                "due_at": min(row.created_at, now),
            }


def _free(now: datetime) -> tuple[ColumnElement[bool], ...]:
    unleased = deliveries.c.lease_owner.is_(None) | (deliveries.c.lease_until < now)
    return (WAITING_DELIVERY, deliveries.c.due_at <= now, unleased)


def _listeners(connection: Connection) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    if has_webhooks(connection):
        for row in connection.execute(LISTENERS):
            found[row.workspace, row.webhook_id].add(row.event)
    return found


def _target(connection: Connection, webhook: str) -> Target | None:
    table = mlflow.webhooks.c
    here = (table.webhook_id == webhook, table.deleted_timestamp.is_(None))
    row = connection.execute(select(table.url, table.secret, table.status).where(*here)).first()
    return None if row is None else Target(row.url, row.secret, row.status == ACTIVE)
