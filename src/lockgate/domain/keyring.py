"""The keys that the record itself names: how each came there, who vouches for it, and which still sign.

The first key stands for itself. Every later one is vouched for, with a signature, by one that was known; where all
keys were lost, a recovered one is not vouched for by anybody, and whoever checks is told so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from lockgate.domain.audit import SYSTEM
from lockgate.domain.checkpoints import Check, Note, PublicKey
from lockgate.domain.errors import BadInput

ADDED, RETIRED, RECOVERED = "key:added", "key:retired", "key:recovered"
ACTIONS = frozenset({ADDED, RETIRED, RECOVERED})


class Arrival(StrEnum):
    """How a key came on the record."""

    FIRST = "first"
    VOUCHED = "vouched for"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key on the record, with the number of its entry in the system's chain."""

    public: PublicKey
    number: int
    at: datetime
    by: str
    arrival: Arrival
    vouched_by: str = ""
    retired_at: datetime | None = None

    @property
    def active(self) -> bool:
        """Whether it may sign."""
        return self.retired_at is None


@dataclass(frozen=True, slots=True)
class Keyring:
    """All keys in the order in which they came. `origin` is the record's name, "" while there is no key."""

    origin: str = ""
    keys: tuple[KnownKey, ...] = ()

    def get(self, key: bytes) -> KnownKey | None:
        """The key with these bytes."""
        return next((each for each in self.keys if each.public.key == key), None)

    def by_id(self, id: str) -> KnownKey | None:
        """The key with this id."""
        return next((each for each in self.keys if each.public.id == id), None)

    @property
    def active(self) -> tuple[PublicKey, ...]:
        """Those that may sign now."""
        return tuple(each.public for each in self.keys if each.active)

    def trusted_from(self, given: Iterable[PublicKey]) -> frozenset[str]:
        """The ids of the given keys, and of all that these vouch for, one after another."""
        found = {key.id for key in given}
        for each in self.keys:  # a key is vouched for by one that came before it
            if each.arrival is Arrival.VOUCHED and each.vouched_by in found:
                found.add(each.public.id)
        return frozenset(found)

    def after(self, plain: Mapping[str, Any], check: Check) -> Keyring:
        """The keys after this entry of the record. Raises BadInput for one that changes them and may not."""
        if plain.get("action") not in ACTIONS or plain.get("chain") != SYSTEM:
            return self
        try:
            detail, at = plain["detail"], datetime.fromisoformat(plain["at"])
            number, by = int(plain["number"]), str(plain["who"]["name"])
            key = PublicKey.parse(detail["key"])
            vouched = str(detail.get("vouched", ""))
        except (KeyError, TypeError, ValueError):
            raise BadInput("It does not say which key it is about.") from None
        match plain["action"]:
            case "key:retired":
                return self._without(key, at)
            case "key:recovered":
                lost = tuple(replace(each, retired_at=each.retired_at or at) for each in self.keys)
                return replace(self, keys=lost)._with(KnownKey(key, number, at, by, Arrival.RECOVERED))
            case _ if not self.keys:
                return self._with(KnownKey(key, number, at, by, Arrival.FIRST))
            case _:
                voucher = self._voucher(key, vouched, check)
                return self._with(KnownKey(key, number, at, by, Arrival.VOUCHED, voucher))

    def _with(self, new: KnownKey) -> Keyring:
        if self.origin and new.public.name != self.origin:
            raise BadInput(f"The key is for another record, {new.public.name}.")
        if self.get(new.public.key) is not None:
            raise BadInput(f"The key {new.public.id} is there already.")
        return Keyring(new.public.name, (*self.keys, new))

    def _without(self, key: PublicKey, at: datetime) -> Keyring:
        found = self.get(key.key)
        if found is None or not found.active:
            raise BadInput(f"The key {key.id} was not in use.")
        gone = replace(found, retired_at=at)
        return replace(self, keys=tuple(gone if each is found else each for each in self.keys))

    def _voucher(self, key: PublicKey, written: str, check: Check) -> str:
        """The id of the key that vouches. Raises BadInput when none of the active ones does."""
        note = Note.parse(written)
        signers = note.signed_by(self.active, check) if note.text == vouching_text(self.origin, key) else ()
        if not signers:
            raise BadInput(f"No key that was known then vouches for the key {key.id}.")
        return signers[0].id


def vouching_text(origin: str, key: PublicKey) -> str:
    """What a known key signs to vouch for another."""
    return f"{origin}\nvouches for {key}\n"


def read(entries: Iterable[Mapping[str, Any]], check: Check) -> Keyring:
    """The keys that these entries name, from first to last; entries that may not change them change nothing."""
    ring = Keyring()
    for plain in entries:
        try:
            ring = ring.after(plain, check)
        except BadInput:
            continue  # verifying tells of it
    return ring
