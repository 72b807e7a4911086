"""Tokens of endpoints, and the digests that an agent tells its workers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from lockgate.adapters.sql.endpoint_token_tables import endpoint_tokens
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.tables import endpoints, models
from lockgate.domain.serving import EndpointToken


class SqlEndpointTokens:
    """`EndpointTokens`."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def add(self, token: EndpointToken, digest: str) -> None:
        values = {
            "id": token.id,
            "model_id": self._names.ensure(token.model),
            "environment": token.environment,
            "digest": digest,
            "label": token.label,
            "created_at": token.created_at,
            "created_by": token.created_by,
        }
        self._connection.execute(insert(endpoint_tokens).values(values))

    def get(self, id: str) -> EndpointToken | None:
        return next(iter(self._read(endpoint_tokens.c.id == id)), None)

    def of(self, model: str | None = None, environment: str | None = None) -> Sequence[EndpointToken]:
        here = [] if model is None else [endpoint_tokens.c.model_id == self._names.key(model)]
        here += [] if environment is None else [endpoint_tokens.c.environment == environment]
        return self._read(*here)

    def revoke(self, id: str, at: datetime) -> None:
        self._connection.execute(update(endpoint_tokens).where(endpoint_tokens.c.id == id).values(revoked_at=at))

    def _read(self, *here: ColumnElement[bool]) -> list[EndpointToken]:
        mine = (models.c.workspace == self._names.workspace, *here)
        newest_first = (endpoint_tokens.c.created_at.desc(), endpoint_tokens.c.id.desc())
        rows = select(endpoint_tokens, models.c.name.label("model")).join(models).where(*mine).order_by(*newest_first)
        return [_token_of(row) for row in self._connection.execute(rows)]


def digests(connection: Connection) -> Mapping[str, tuple[str, ...]]:
    """Of each endpoint in any workspace, the digests of its good tokens, sorted; those without any are left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in connection.execute(_GOOD):
        found[row.id].append(row.digest)
    return {endpoint: tuple(sorted(good)) for endpoint, good in found.items()}


_GOOD = (
    select(endpoints.c.id, endpoint_tokens.c.digest)
    .join(
        endpoint_tokens,
        (endpoint_tokens.c.model_id == endpoints.c.model_id)
        & (endpoint_tokens.c.environment == endpoints.c.environment),
    )
    .where(endpoint_tokens.c.revoked_at.is_(None))
)


def _token_of(row: Row[Any]) -> EndpointToken:
    return EndpointToken(row.id, row.environment, row.model, row.label, row.created_at, row.created_by, row.revoked_at)
