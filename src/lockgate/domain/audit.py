"""One entry of the record, how it is linked to the one before, and how the chain is checked.

Entries of one model form a chain: each carries the hash of the one before, so a changed, dropped or reordered
entry breaks the chain exactly there. Entries that belong to no model are linked in the chain `system`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lockgate.domain.canonical import STANDARD, Codec, Plain, canonical, digest_of
from lockgate.domain.identity import PERSON, Who

FORMAT = 2
"""Of the entries written now. Those of format 1 (`from`, `to`, `why`, and no more of the caller than a name and a door)
go on verifying as they are."""
BEGINNING = "sha256:" + "0" * 64
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened: action, who, when, the model and version it is about, what was so before and after it, and why.

    `before` and `after` are a text where one thing changed, and a map where several did; None where there was nothing,
    and "" where nothing of the kind changes. Neither they nor `detail` hold a float or a secret.
    """

    action: str
    who: Who
    at: datetime
    model: str = ""
    version: int | None = None
    before: Plain = ""
    after: Plain = ""
    why: str = ""
    detail: Mapping[str, Plain] | None = None

    def as_plain(self, chain: str, number: int, previous: str) -> dict[str, Plain]:
        """The canonical map that is hashed and stored."""
        who = self.who
        return {
            "format": FORMAT,
            "chain": chain,
            "number": number,
            "previous": previous,
            "at": self.at.isoformat(timespec="microseconds"),
            "who": {
                "name": who.name,
                "verified": who.verified,
                "via": who.via,
                "kind": who.kind,
                "address": who.address,
                "request": who.request,
                "token": who.token,
            },
            "action": self.action,
            "model": self.model,
            "version": self.version,
            "before": self.before,
            "after": self.after,
            "reason": self.why,
            "detail": dict(self.detail or {}),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Entry:
        """The entry that such a map tells, of any format that was ever written. Raises KeyError or ValueError."""
        first = plain["format"] == 1
        before, after, why = ("from", "to", "why") if first else ("before", "after", "reason")
        who = plain["who"]
        return cls(
            action=plain["action"],
            who=Who(
                who["name"],
                who["verified"],
                who["via"],
                kind=who.get("kind", PERSON),
                address=who.get("address", ""),
                request=who.get("request", ""),
                token=who.get("token", ""),
            ),
            at=datetime.fromisoformat(plain["at"]),
            model=plain["model"],
            version=plain["version"],
            before=plain[before],
            after=plain[after],
            why=plain[why],
            detail=plain["detail"],
        )


@dataclass(frozen=True, slots=True)
class Linked:
    """An entry in its place: its chain, its number from 1, its hash, and the canonical text that was hashed."""

    chain: str
    number: int
    hash: str
    text: str


@dataclass(frozen=True, slots=True)
class Break:
    """Where the record does not hold, and what is wrong there. `position` is the entry's in the tree, if it has one."""

    chain: str
    number: int
    because: str
    position: int | None = None


def link(entry: Entry, chain: str, number: int, previous: str) -> Linked:
    """The entry as number `number` of its chain, after the entry whose hash is `previous`."""
    text = canonical(entry.as_plain(chain, number, previous))
    return Linked(chain, number, digest_of(text), text.decode())


def breaks(entries: Iterable[Linked], heads: Mapping[str, tuple[int, str]]) -> list[Break]:
    """Every place where a chain does not hold; empty when all do.

    `entries` come in any order; `heads` gives each chain's last number and hash as stored beside it, so that
    entries cut from the end are missed too.
    """
    chains: dict[str, list[Linked]] = {chain: [] for chain in heads}
    for entry in entries:
        chains.setdefault(entry.chain, []).append(entry)
    found = []
    for chain, links in sorted(chains.items()):
        walk = ChainWalk(chain)
        for entry in sorted(links, key=lambda e: e.number):
            found += walk.take(entry)
            if not entry.text:
                found.append(Break(chain, entry.number, "its text is not there"))
        found += walk.end(heads.get(chain))
    return found


class ChainWalk:
    """Checks one chain as its entries come by in the order of their numbers; holds nothing but the last one.

    `told` is what that one's text says, nothing where it cannot be believed.
    """

    def __init__(self, chain: str, codec: Codec = STANDARD) -> None:
        self.chain = chain
        self._codec = codec
        self.told: dict[str, Any] = {}
        self._last = 0
        self._hash = BEGINNING

    def take(self, entry: Linked) -> list[Break]:
        """What is wrong with the next entry, and with what should have come before it."""
        number, expected = entry.number, self._last + 1
        plain, because = reading(entry, self._codec)
        self.told = plain
        if number < expected:
            told = f"entry {number} is there twice, or has a number no entry can have"
            return [Break(self.chain, number, told)]
        found = []
        if number > expected:
            found.append(Break(self.chain, expected, f"entry {expected} is missing: the next one is {number}"))
        if not because and entry.text and number == expected and plain.get("previous") != self._hash:
            because = "it does not follow the entry before it: one of the two was replaced"
        if because:
            found.append(Break(self.chain, number, because))
        self._last, self._hash = number, entry.hash
        return found

    def end(self, head: tuple[int, str] | None) -> list[Break]:
        """What is wrong with the end of the chain, whose head says what its last number and hash are."""
        last = self._last
        if head is None:
            return [Break(self.chain, last, "the chain's head is missing")]
        number, head_hash = head
        if last < number:
            return [Break(self.chain, last + 1, f"the chain ends at entry {last}, its head says {number}")]
        if last > number:
            return [Break(self.chain, number + 1, f"the chain goes on to entry {last}, its head says {number}")]
        if self._hash != head_hash:
            return [Break(self.chain, last, "the last entry is not the one the chain's head names")]
        return []


def reading(entry: Linked, codec: Codec = STANDARD) -> tuple[dict[str, Any], str]:
    """What the entry's text says, and what is wrong with it: "" when it is the one that was hashed, in its place.

    A text that is not there says nothing, and nothing is wrong with it: whether it may be gone is another question.
    """
    if not entry.text:
        return {}, ""
    try:
        data = entry.text.encode()
        plain = codec.read(data)
    except (ValueError, RecursionError):
        return {}, "its text is not JSON"
    try:
        # what comes out of JSON goes back as it was written: keys in order, and no spaces
        as_written = isinstance(plain, dict) and codec.write(plain) == data
    except (ValueError, TypeError, RecursionError):
        as_written = False
    if not as_written:
        return {}, "its text is not in canonical form"
    if digest_of(data) != entry.hash:
        return plain, "its text does not match its hash: it was changed after it was written"
    if (plain.get("chain"), plain.get("number")) != (entry.chain, entry.number):
        return plain, "it was moved from another place"
    return plain, ""
