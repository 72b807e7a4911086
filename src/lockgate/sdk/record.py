"""The part of the client that proves the record: checkpoints, the export, proofs, and the keys that sign."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lockgate.sdk.http import Http
from lockgate.wire import record as wire
from lockgate.wire.plain import from_json, to_json
from lockgate.wire.record import ENTRIES_HEADER
from lockgate.wire.shapes import AuditCheck

# checking a million entries takes most of a minute
VERIFY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Export:
    """The file that `lockgate audit verify FILE` reads, in pieces of any length; and how many entries it will hold."""

    entries: int
    pieces: Iterator[bytes]


class Record:
    """What one asks a server about its record. Methods raise as those of `Lockgate` do."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def verify(self) -> AuditCheck:
        """Check the record at the server: its chains, its tree and every signed checkpoint."""
        return from_json(AuditCheck, self._http.get_slowly("/audit/verify", VERIFY_SECONDS))

    def checkpoint(self) -> wire.Checkpoint:
        """The newest signed checkpoint. Raises NotFound when there is none yet."""
        return from_json(wire.Checkpoint, self._http.get("/audit/checkpoint"))

    def prove(self, chain: str, number: int) -> dict[str, Any]:
        """The proof that an entry is on the record, as `lockgate audit verify FILE` reads it.

        Raises NotFound without such an entry, Conflict while no checkpoint covers it.
        """
        found: dict[str, Any] = self._http.get("/audit/proof", chain=chain, number=number)
        return found

    def consistency(self, first: int, second: int | None = None) -> wire.ConsistencyProof:
        """The proof that the record of `second` entries (None: all) begins with that of `first`."""
        return from_json(wire.ConsistencyProof, self._http.get("/audit/consistency", first=first, second=second))

    @contextmanager
    def export(self) -> Iterator[Export]:
        """The whole record as it is now, streamed: `with client.record.export() as found:`."""
        with self._http.streaming("/audit/export") as (headers, pieces):
            told = headers.get(ENTRIES_HEADER, "")
            yield Export(int(told) if told.isdecimal() else 0, pieces)

    def keys(self) -> wire.RecordKeys:
        """The keys that sign checkpoints."""
        return from_json(wire.RecordKeys, self._http.get("/audit/keys"))

    def add_key(self, public: str, vouched: str, reason: str = "") -> wire.RecordKeys:
        """Put a key on the record that a known one vouches for. Raises BadRequest where none does."""
        body = to_json(wire.KeyAsk(public, vouched, reason))
        return from_json(wire.RecordKeys, self._http.post("/audit/keys", body))

    def retire_key(self, id: str, reason: str = "") -> wire.RecordKeys:
        """Let a key sign no more. Raises NotFound, and Conflict for the only one."""
        body = to_json(wire.RetireKeyAsk(id, reason))
        return from_json(wire.RecordKeys, self._http.post("/audit/keys/retire", body))
