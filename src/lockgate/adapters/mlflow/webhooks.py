"""MLflow's webhooks, mended: its handlers leave delivery to the controller, and a lost secret hides no list."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import InvalidToken
from mlflow.entities.webhook import WebhookEntity, WebhookTestResult
from mlflow.server import handlers
from mlflow.store.model_registry.dbmodels.models import EncryptedString, SqlWebhook
from mlflow.webhooks import delivery
from sqlalchemy.orm import Session

# what the governed store owes to receivers itself, in the transaction of the change
OWED_BY_THE_STORE = frozenset(WebhookEntity) - {WebhookEntity.BUDGET_POLICY}
CANNOT_BE_READ = (
    "The secret of this webhook cannot be decrypted with this server's key, so nothing is sent to it. Start with the "
    "key it was stored under (MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY, or webhooks.key in the home), or set it anew."
)


class Unreadable(str):
    """Stands in an entity for a secret that cannot be decrypted. It is empty, so that nothing is signed with it."""

    __slots__ = ()


def install() -> None:
    """Put our versions where MLflow's handlers and its rows look for them. Done twice, nothing changes."""
    handlers.deliver_webhook = _deliver
    handlers.test_webhook = _test
    EncryptedString.process_result_value = _decrypted
    if SqlWebhook.to_mlflow_entity is not _entity:
        SqlWebhook.to_mlflow_entity = _entity


def changed_webhook(session: Session) -> str:
    """The id of the webhook that this session makes or changes; "" where there is none."""
    return next((str(row.webhook_id) for row in session if isinstance(row, SqlWebhook)), "")


def _deliver(*, event: Any, payload: Any, store: Any) -> None:
    if event.entity not in OWED_BY_THE_STORE:
        delivery.deliver_webhook(event=event, payload=payload, store=store)


def _test(webhook: Any, event: Any = None) -> Any:
    if isinstance(webhook.secret, Unreadable):
        return WebhookTestResult(success=False, error_message=CANNOT_BE_READ)
    return delivery.test_webhook(webhook, event)


def _decrypted(self: Any, value: Any, dialect: Any) -> Any:  # noqa: ARG001 - SQLAlchemy's signature
    if value is None:
        return None
    try:
        return self.cipher.decrypt(value.encode()).decode()
    except (InvalidToken, ValueError):
        # MLflow's own lets this end the request, and with it the list of all other webhooks
        return Unreadable()


_plain_entity = SqlWebhook.to_mlflow_entity


def _entity(self: Any) -> Any:
    made = _plain_entity(self)
    if isinstance(made.secret, Unreadable):
        made._description = f"{CANNOT_BE_READ} {made.description or ''}".strip()
    return made
