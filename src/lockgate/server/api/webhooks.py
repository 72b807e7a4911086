"""Routes about webhooks: what they hear, what was delivered to them, and sending it once more.

Making, changing and deleting them is MLflow's own API.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.domain import webhooks as domain
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import Limit, body_of, described
from lockgate.server.identity import caller
from lockgate.usecases import webhooks
from lockgate.usecases.ports import Ports
from lockgate.wire.webhooks import Delivery, DeliveryList, EventsAsk, Webhook, WebhookList


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["webhooks"])

    @router.get("/webhooks", response_model=WebhookList)
    def list_webhooks() -> Json:
        """MLflow's webhooks with what they hear, and how many deliveries each has still to get."""
        return Json(WebhookList(tuple(_webhook(each.webhook, each.waiting) for each in webhooks.listed(ports))))

    @router.get("/webhooks/{id}/deliveries", response_model=DeliveryList)
    def list_deliveries(id: str, limit: Limit = 100) -> Json:
        """The log of one webhook, newest first."""
        return Json(DeliveryList(tuple(_delivery(each) for each in webhooks.deliveries(ports, id, limit))))

    @router.post("/webhooks/{id}/subscribe", response_model=Webhook, openapi_extra=described(EventsAsk))
    def subscribe(id: str, body: Annotated[EventsAsk, body_of(EventsAsk)]) -> Json:
        """Let a webhook hear these actions of the record too."""
        return Json(_webhook(webhooks.subscribe(ports, id, body.events, caller())))

    @router.post("/webhooks/{id}/unsubscribe", response_model=Webhook, openapi_extra=described(EventsAsk))
    def unsubscribe(id: str, body: Annotated[EventsAsk, body_of(EventsAsk)]) -> Json:
        """Take these away again as they were given; an empty list takes all of them away."""
        return Json(_webhook(webhooks.unsubscribe(ports, id, body.events, caller())))

    @router.post("/deliveries/{id}/redeliver", response_model=Delivery)
    def redeliver(id: str) -> Json:
        """Send a delivery once more, under its old id and with all its attempts. 409 while it is about to be sent."""
        return Json(_delivery(webhooks.redeliver(ports, id, caller())))

    return router


def _webhook(of: domain.Webhook, waiting: int = 0) -> Webhook:
    return Webhook(of.id, of.name, of.url, of.active, of.events, of.subscriptions, of.description, waiting)


def _delivery(of: domain.Delivery) -> Delivery:
    return Delivery(
        id=of.id,
        webhook=of.webhook,
        event=of.event,
        state=of.state.value,
        created_at=of.created_at,
        due_at=of.due_at,
        attempts=of.attempts,
        attempted_at=of.attempted_at,
        delivered_at=of.delivered_at,
        last_status=of.last_status,
        last_error=of.last_error,
        answer=of.answer,
    )
