"""Webhooks as MLflow writes them."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.fernet import Fernet
from sqlalchemy import Engine, text

SECRET = "s3cret"
KEY = Fernet.generate_key().decode()


def add_webhook(
    engine: Engine,
    id: str,
    events: Iterable[str] = ("model_version_tag.set",),
    *,
    url: str = "https://example.org/hook",
    secret: str | None = SECRET,
    key: str = KEY,
    status: str = "ACTIVE",
    workspace: str = "default",
) -> str:
    """One row and its events; the id."""
    stored = None if secret is None else Fernet(key).encrypt(secret.encode()).decode()
    values = {"id": id, "u": url, "s": status, "secret": stored, "w": workspace}
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO webhooks (workspace, webhook_id, name, url, status, secret, creation_timestamp)"
                " VALUES (:w, :id, :id, :u, :s, :secret, 1)"
            ),
            values,
        )
        for event in events:
            entity, action = event.split(".")
            words = text("INSERT INTO webhook_events (webhook_id, entity, action) VALUES (:id, :e, :a)")
            connection.execute(words, {"id": id, "e": entity, "a": action})
    return id


def change_webhook(engine: Engine, id: str, column: str, value: object) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE webhooks SET {column} = :v WHERE webhook_id = :id"), {"v": value, "id": id})
