"""MLflow's webhooks as its own tables tell them, and what Lockgate keeps beside them: subscriptions and deliveries."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from weakref import WeakSet

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    inspect,
    literal,
    select,
    union_all,
    update,
)

from lockgate.adapters.sql import mlflow_tables as mlflow
from lockgate.adapters.sql.leases import Now
from lockgate.adapters.sql.tables import WAITING_DELIVERY, deliveries, outbox, subscriptions
from lockgate.domain.webhooks import Delivery, DeliveryState, Webhook, hears, merged

ACTIVE, DISABLED = "ACTIVE", "DISABLED"

_OF_MLFLOW = mlflow.webhook_events.c.entity + literal(".") + mlflow.webhook_events.c.action
_HERE = mlflow.webhooks.c.workspace == bindparam("workspace")
_LIVING = mlflow.webhooks.c.deleted_timestamp.is_(None)
LISTENS = (mlflow.webhooks.c.status == ACTIVE) & _LIVING


def _patterns(*columns: Any) -> tuple[Select[Any], Select[Any]]:
    """What webhooks hear, a row for each: MLflow's events, and patterns of the record's actions."""
    hook = mlflow.webhooks.c
    own = select(*columns, _OF_MLFLOW.label("event")).join_from(
        mlflow.webhooks, mlflow.webhook_events, mlflow.webhook_events.c.webhook_id == hook.webhook_id
    )
    ours = select(*columns, subscriptions.c.event.label("event")).join_from(
        mlflow.webhooks, subscriptions, subscriptions.c.webhook == hook.webhook_id
    )
    return own, ours


_HEARD = union_all(*(query.where(LISTENS, _HERE) for query in _patterns()))
LISTENERS = union_all(
    *(query.where(LISTENS) for query in _patterns(mlflow.webhooks.c.webhook_id, mlflow.webhooks.c.workspace))
)
# engines in whose database MLflow's tables were seen: they never go away again
_READY: WeakSet[Engine] = WeakSet()


def has_webhooks(connection: Connection) -> bool:
    """Whether MLflow has made its tables: the very first start writes on the record before it has."""
    engine = connection.engine
    if engine in _READY:
        return True
    if not inspect(connection).has_table(mlflow.webhooks.name):
        return False
    _READY.add(engine)
    return True


class SqlWebhooks:
    """`Webhooks` of one workspace."""

    def __init__(self, connection: Connection, workspace: str, now: Now) -> None:
        self._connection = connection
        self._workspace = workspace
        self._now = now
        self._patterns: frozenset[str] | None = None

    def heard(self, event: str) -> bool:
        if self._patterns is None:
            self._patterns = self._listened_to()
        return hears(self._patterns, event)

    def found(self, *, listened: bool) -> None:
        """Keep whether there is any webhook that hears anything."""
        if not listened:
            self._patterns = frozenset()

    def owe(self, event: str, told: Mapping[str, Any], at: datetime | None = None) -> None:
        if self.heard(event):
            self._owe(event, json.dumps(told), at or self._now(self._connection))

    def owe_entry(self, action: str, text: str, at: datetime) -> None:
        """As `owe`, for an entry of the record in the text that was hashed."""
        if self.heard(action):
            self._owe(action, text, at)

    def all(self) -> Sequence[Webhook]:
        return self._read(self._here())

    def get(self, id: str) -> Webhook | None:
        return next(iter(self._read(self._here().where(mlflow.webhooks.c.webhook_id == id))), None)

    def subscribe(self, id: str, patterns: Sequence[str]) -> None:
        self._connection.execute(delete(subscriptions).where(subscriptions.c.webhook == id))
        rows = [{"webhook": id, "event": pattern} for pattern in patterns]
        if rows:
            self._connection.execute(insert(subscriptions), rows)

    def waiting(self) -> Mapping[str, int]:
        here = (WAITING_DELIVERY, deliveries.c.workspace == self._workspace)
        counted = select(deliveries.c.webhook, func.count().label("number")).where(*here).group_by(deliveries.c.webhook)
        return {row.webhook: row.number for row in self._connection.execute(counted)}

    def deliveries(self, webhook: str, limit: int = 100) -> Sequence[Delivery]:
        here = (deliveries.c.webhook == webhook, deliveries.c.workspace == self._workspace)
        rows = select(deliveries).where(*here).order_by(deliveries.c.id.desc()).limit(limit)
        return [delivery_of(row) for row in self._connection.execute(rows)]

    def delivery(self, id: str) -> Delivery | None:
        here = (deliveries.c.delivery == id, deliveries.c.workspace == self._workspace)
        row = self._connection.execute(select(deliveries).where(*here)).first()
        return None if row is None else delivery_of(row)

    def redeliver(self, id: str, at: datetime) -> None:
        # the limit of age counts from now on as well
        again: dict[str, Any] = {"state": DeliveryState.WAITING.value, "attempts": 0, "delivered_at": None}
        again |= {"due_at": at, "created_at": at}
        self._connection.execute(update(deliveries).where(deliveries.c.delivery == id).values(again))

    def disable(self, id: str) -> None:
        here = mlflow.webhooks.c.webhook_id == id
        self._connection.execute(update(mlflow.webhooks).where(here).values(status=DISABLED))

    def _listened_to(self) -> frozenset[str]:
        if not has_webhooks(self._connection):
            return frozenset()
        return frozenset(self._connection.execute(_HEARD, {"workspace": self._workspace}).scalars())

    def _owe(self, topic: str, payload: str, at: datetime) -> None:
        owed = {"topic": topic, "payload": payload, "created_at": at, "due_at": at, "workspace": self._workspace}
        self._connection.execute(insert(outbox).values(owed))

    def _here(self) -> Select[Any]:
        table = mlflow.webhooks
        return (
            select(table)
            .where(table.c.workspace == self._workspace, _LIVING)
            .order_by(table.c.name, table.c.webhook_id)
        )

    def _read(self, rows: Select[Any]) -> list[Webhook]:
        if not has_webhooks(self._connection):
            return []
        found = self._connection.execute(rows).all()
        ids = [row.webhook_id for row in found]
        ours, own = defaultdict(list), defaultdict(list)
        of = mlflow.webhook_events.c
        named = select(of.webhook_id, _OF_MLFLOW.label("event")).where(of.webhook_id.in_(ids))
        for row in self._connection.execute(named):
            own[row.webhook_id].append(row.event)
        for row in self._connection.execute(select(subscriptions).where(subscriptions.c.webhook.in_(ids))):
            ours[row.webhook].append(row.event)
        return [
            Webhook(
                row.webhook_id,
                row.name,
                row.url,
                row.status == ACTIVE,
                merged(own[row.webhook_id]),
                merged(ours[row.webhook_id]),
                row.description or "",
            )
            for row in found
        ]


def delivery_of(row: Row[Any]) -> Delivery:
    """The delivery a row holds."""
    return Delivery(
        id=row.delivery,
        webhook=row.webhook,
        event=row.event,
        state=DeliveryState(row.state),
        created_at=row.created_at,
        due_at=row.due_at,
        attempts=row.attempts,
        attempted_at=row.attempted_at,
        delivered_at=row.delivered_at,
        last_status=row.last_status,
        last_error=row.last_error,
        answer=row.answer,
    )
