"""Webhooks and the log of their deliveries, as the API answers and asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Webhook:
    """One of MLflow's webhooks. `events` are MLflow's own, `subscriptions` what it hears of Lockgate's record besides.

    `waiting` counts the deliveries it has still to get. Its secret is shown to nobody.
    """

    id: str
    name: str
    url: str
    active: bool
    events: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    description: str = ""
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook. `state` is waiting, delivered or failed; `due_at` the next attempt's time.

    `id` is what the receiver sees as X-MLflow-Delivery-Id, at every attempt. `answer` is the beginning of its answer.
    """

    id: str
    webhook: str
    event: str
    state: str
    created_at: datetime
    due_at: datetime
    attempts: int = 0
    attempted_at: datetime | None = None
    delivered_at: datetime | None = None
    last_status: int | None = None
    last_error: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class WebhookList:
    """By name."""

    webhooks: tuple[Webhook, ...]


@dataclass(frozen=True, slots=True)
class DeliveryList:
    """Newest first."""

    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class EventsAsk:
    """Actions of the record: `version:transitioned`, `promotion:*` for all of a subject, `*` for all."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    events: tuple[str, ...]
