"""The shapes about requests that are divided among versions, as they cross the network."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

# read by what writes the API's description: there is no other field
_CLOSED: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class Share:
    """So many percent of the requests are for that version."""

    __pydantic_config__: ClassVar = _CLOSED

    version: int
    percent: float


@dataclass(frozen=True, slots=True)
class SplitAsk:
    """Divide an endpoint's requests; what no share takes is for the primary version.

    `header` names a version by itself; `key` is a header and `cookie` a cookie by which requests stay with one version;
    `shadow` gets copies, whose answers are thrown away.
    """

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    environment: str
    shares: tuple[Share, ...] = ()
    header: str = ""
    key: str = ""
    cookie: str = ""
    shadow: int | None = None
    shadow_percent: float = 100.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SplitRemoveAsk:
    """Give all of an endpoint's requests to the primary version again."""

    __pydantic_config__: ClassVar = _CLOSED

    model: str
    environment: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """How an endpoint's requests are divided. `in_force` are those of the shares whose versions hold the stage now."""

    environment: str
    model: str
    primary: int | None
    shares: tuple[Share, ...]
    in_force: tuple[Share, ...]
    header: str
    key: str
    cookie: str
    shadow: int | None
    shadow_percent: float
    set_by: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class SplitList:
    """By model and environment."""

    splits: tuple[Split, ...]
