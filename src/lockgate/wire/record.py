"""What proves the record, as the API answers and asks for it: checkpoints, proofs, and the keys that sign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

# how many entries an export will hold, for whoever shows how far it is
ENTRIES_HEADER = "x-lockgate-entries"

_CLOSED: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The newest signed checkpoint: `note` is the signed note as it is kept elsewhere, the rest is what it says."""

    note: str
    origin: str
    size: int
    root: str
    at: datetime
    key: str


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That the tree of `second` entries begins with that of `first`: hashes in base64, as RFC 9162 orders them."""

    first: int
    second: int
    first_root: str
    second_root: str
    proof: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordKey:
    """A key that signs checkpoints, or did. `public` is NAME+ID+BASE64; `arrival` first, vouched for or recovered."""

    id: str
    public: str
    at: datetime
    by: str
    arrival: str
    vouched_by: str = ""
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordKeys:
    """The keys on the record in the order in which they came. `origin` is the record's name, "" before the first."""

    origin: str
    keys: tuple[RecordKey, ...]


@dataclass(frozen=True, slots=True)
class KeyAsk:
    """Put this public key on the record. `vouched` is the signed note in which a known key vouches for it."""

    __pydantic_config__: ClassVar = _CLOSED

    public: str
    vouched: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RetireKeyAsk:
    """Let the key with this id sign no more."""

    __pydantic_config__: ClassVar = _CLOSED

    id: str
    reason: str = ""
