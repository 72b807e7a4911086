"""The shapes about tokens of endpoints, as they cross the network."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

# read by what writes the API's description: there is no other field
_CLOSED: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class EndpointTokenAsk:
    """Make a token for one model in one environment."""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    environment: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class EndpointTokenRevokeAsk:
    """Let a token in no longer."""

    __pydantic_config__: ClassVar = _CLOSED

    id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EndpointToken:
    """A token without its secret; `revoked_at` is null while it lets callers in."""

    id: str
    environment: str
    model: str
    label: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewEndpointToken:
    """A token that was just made, with its secret, which is shown this once."""

    token: EndpointToken
    secret: str


@dataclass(frozen=True, slots=True)
class EndpointTokenList:
    """Newest first."""

    tokens: tuple[EndpointToken, ...]
