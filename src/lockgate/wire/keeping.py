"""How the record is kept, as the API tells it and is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lockgate.wire.shapes import Who


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing of this model is removed while it stands."""

    id: str
    model: str
    reason: str
    added_by: Who
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """For how long texts are kept (`length` is `7y`, `400d` or `for ever`), who said so, and what is held.

    `removed` entries have no text any more. Only those among the first `anchored` may lose theirs.
    """

    length: str
    set_by: Who | None
    set_at: datetime | None
    reason: str
    holds: tuple[Hold, ...]
    removed: int
    anchored: int


@dataclass(frozen=True, slots=True)
class RetentionAsk:
    """Keep texts for that long: `7y`, `400d` or `for ever`."""

    length: str
    reason: str


@dataclass(frozen=True, slots=True)
class HoldAsk:
    """Hold a model, or release it."""

    model: str
    reason: str
