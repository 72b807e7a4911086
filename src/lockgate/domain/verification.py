"""Checks an exported record line by line, and says what that proved: of whatever size, it holds the chains' ends.

What is wrong is named: chain, number, position. What the file itself cannot tell (entries cut from its end together
with their checkpoints) a later checkpoint tells, which somebody kept elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lockgate.domain.audit import BEGINNING, Break, Linked, reading
from lockgate.domain.canonical import STANDARD, Codec
from lockgate.domain.checkpoints import Check, PublicKey, SignedCheckpoint
from lockgate.domain.errors import BadInput
from lockgate.domain.exported import FORMAT
from lockgate.domain.keyring import Arrival, Keyring
from lockgate.domain.merkle import Frontier, leaf_hash
from lockgate.domain.removals import Removals

MOST_FAULTS = 100
_MOST_NAMED = 10
_MOST_LEAVES = 100_000
_ENTRY = frozenset({"position", "chain", "number", "hash", "text"})


def leaf_of(hash: str) -> bytes:  # noqa: A002 - the word for it on the record
    """The leaf of an entry with this hash, of the form `sha256:…`: those very characters are what the tree holds."""
    return leaf_hash(hash.encode())


@dataclass(frozen=True, slots=True)
class Proved:
    """What a verification found. Without breaks, the first `size` entries are those that `key` signed.

    `after` entries follow them, linked in their chains and not signed yet. `self_named`: the file itself named the
    key. `given`: it goes on from the checkpoint that was given. `breaks` holds the first of `count`.
    """

    entries: int
    checkpoints: int
    size: int
    key: PublicKey | None
    at: datetime | None
    after: int
    self_named: bool
    given: SignedCheckpoint | None
    recovered: tuple[str, ...]
    breaks: tuple[Break, ...]
    count: int

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong and something is proved."""
        return not self.count and self.key is not None


@dataclass(slots=True)
class _End:
    """The last entry of a chain so far."""

    number: int = 0
    hash: str = BEGINNING
    position: int = -1


@dataclass(frozen=True, slots=True)
class _Suspect:
    """An entry, by its position, that the next one of its chain calls by another hash; and where that was noted."""

    position: int
    chain: str
    number: int
    hash: str
    noted: int


@dataclass(slots=True)
class _Checked:
    """What one key's checkpoints have proved."""

    size: int
    at: datetime


@dataclass(slots=True)
class Verification:
    """Takes every line of a file, then ends. `keys` are the public keys one trusts: none are those the file names.

    `given` is a checkpoint that was kept elsewhere. Raises BadInput where it is of another record.
    """

    check: Check
    keys: tuple[PublicKey, ...] = ()
    given: SignedCheckpoint | None = None
    codec: Codec = STANDARD
    _line: int = 0
    _origin: str = ""
    _ring: Keyring = field(default_factory=Keyring)
    _tree: Frontier = field(default_factory=Frontier)
    _tree_holds: bool = True
    _offset: int = 0
    _entries: int = 0
    _tail: int = 0
    _checkpoints: int = 0
    _heads: int = 0
    _removals: Removals = field(default_factory=Removals)
    _ends: dict[str, _End] = field(default_factory=dict)
    _matched: int = 0
    _since: list[tuple[str, int]] = field(default_factory=list)
    _base: Frontier = field(default_factory=Frontier)
    _leaves: list[bytes] = field(default_factory=list)
    _suspects: list[_Suspect] = field(default_factory=list)
    _mismatch: tuple[int, int] | None = None
    _proved: dict[str, _Checked] = field(default_factory=dict)
    _given_root: bytes | None = None
    _breaks: list[Break] = field(default_factory=list)
    _count: int = 0
    _faults_at_match: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)
    _ended: bool = False

    def take(self, line: bytes) -> None:
        """The next line, with its line end."""
        self._line += 1
        if self._ended:
            self._fault("something stands behind the end of the file")
            return
        told, because = _read(line, self.codec)
        if "end" in told and not because:
            self._end(told["end"])
            return
        self._digest.update(line)
        if self._line == 1:
            self._header(told, because)
        elif because:
            self._unreadable(because)
        elif told.keys() == _ENTRY:
            self._entry(told)
        elif told.keys() == {"checkpoint"}:
            self._checkpoint(told["checkpoint"])
        elif told.keys() == {"head"}:
            self._head(told["head"])
        else:
            self._unreadable("it is no line of an export")

    def finish(self) -> Proved:
        """What all lines together prove."""
        if not self._ended:
            self._fault(f"the file ends behind line {self._line}, before its own end: it was cut off")
        for chain, number in self._removals.unexplained():
            self._fault("its text is not there, and no entry says that it was removed", chain, number)
        self._against_given()
        trusted = self._trusted()
        self._strangers(trusted)
        best = max((each for id, each in self._proved.items() if id in trusted), key=lambda x: x.size, default=None)
        key = next((k for k in self._proved if k in trusted and self._proved[k] is best), None)
        named = {each.id: each for each in (*self.keys, *(k.public for k in self._ring.keys))}
        size = best.size if best else 0
        recovered = tuple(k.public.id for k in self._ring.keys if k.arrival is Arrival.RECOVERED)
        return Proved(
            entries=self._entries,
            checkpoints=self._checkpoints,
            size=size,
            key=named[key] if key else None,
            at=best.at if best else None,
            after=self._entries - size,
            self_named=not self.keys,
            given=self.given,
            recovered=recovered,
            breaks=tuple(self._breaks),
            count=self._count,
        )

    def _trusted(self) -> frozenset[str]:
        """The keys that were given, or the one that the file says was first, and all that these vouch for.

        Where nothing was given, a recovered key counts as well: nothing is known about any of them.
        """
        if self.keys:
            return self._ring.trusted_from(self.keys)
        own = [k.public for k in self._ring.keys if k.arrival is not Arrival.VOUCHED]
        return self._ring.trusted_from(own)

    def _strangers(self, trusted: frozenset[str]) -> None:
        """Checkpoints that go further than those of the keys one trusts."""
        furthest = max((each.size for id, each in self._proved.items() if id in trusted), default=0)
        for id, each in self._proved.items():
            if id not in trusted and each.size > furthest:
                told = f"entries up to position {each.size - 1} are signed by {id}, for which no key you gave vouches"
                self._fault(told, "", 0, furthest)

    # --- lines --------------------------------------------------------------------------------------------------------

    def _header(self, told: dict[str, Any], because: str) -> None:
        if because or told.get("format") != FORMAT:
            raise BadInput("This is no export of a record.", hint="Make one with: lockgate audit export --output FILE")
        origin, keys = told.get("origin"), told.get("keys")
        if (
            told.keys() != {"format", "origin", "keys", "at"}
            or not isinstance(origin, str)
            or not isinstance(keys, list)
        ):
            self._fault("the header, line 1, was changed")
            return
        self._origin = origin
        names = [key.name for key in self.keys]
        if self.given is not None:
            names.append(self.given.checkpoint.origin)
        for name in names:
            if name != origin:
                raise BadInput(
                    f"The file holds the record {origin!r}, and what you gave is of the record {name!r}.",
                    hint="Give the key and the checkpoint of the same record.",
                )

    def _entry(self, told: dict[str, Any]) -> None:
        chain, number, position = told["chain"], told["number"], told["position"]
        fine = isinstance(chain, str) and type(number) is int and isinstance(told["hash"], str)
        if not fine or not isinstance(told["text"], str) or not (position is None or type(position) is int):
            self._unreadable("it is no entry")
            return
        entry = Linked(chain, number, told["hash"], told["text"])
        place = self._place(entry, position)
        plain, because = reading(entry, self.codec)
        if because:
            self._fault(because, chain, number, place)
        elif not entry.text:
            self._removals.missing(chain, number)
        else:
            self._removals.hear(plain)
            self._key(plain, chain, number, place)
        self._chain(entry, plain, place, linked=not because and bool(entry.text))
        self._entries += 1

    def _place(self, entry: Linked, position: int | None) -> int | None:
        """The entry's place in the tree, by which it is told; None behind all that have one."""
        if position is None:
            self._tail += 1
            return None
        here = self._tree.size
        if self._tail:
            self._fault(
                "it has a position, and stands behind entries that have none", entry.chain, entry.number, position
            )
        elif position - here != self._offset:
            expected = here + self._offset
            what = "entries are missing before it" if position > expected else "it is there twice, or was moved"
            told = f"it says that its position is {position}, and {expected} comes next: {what}"
            self._fault(told, entry.chain, entry.number, expected)
            self._offset = position - here
            self._tree_holds = False
        leaf = leaf_of(entry.hash)
        self._tree.append(leaf)
        if len(self._leaves) < _MOST_LEAVES:
            self._leaves.append(leaf)
        self._since.append((entry.chain, entry.number))
        if len(self._since) > 4 * _MOST_NAMED:
            del self._since[_MOST_NAMED + 1 :]  # enough to say "and more"
        if self.given is not None and self._tree.size == self.given.checkpoint.size:
            self._given_root = self._tree.root()
        return position

    def _key(self, plain: dict[str, Any], chain: str, number: int, place: int | None) -> None:
        if place is None:
            return  # no checkpoint proves it yet
        try:
            self._ring = self._ring.after(plain, self.check)
        except BadInput as wrong:
            self._fault(f"it names a key for checkpoints, and may not: {wrong.message}", chain, number, place)

    def _chain(self, entry: Linked, plain: dict[str, Any], place: int | None, *, linked: bool) -> None:
        last = self._ends.setdefault(entry.chain, _End())
        expected = last.number + 1
        if entry.number < expected:
            self._fault("it is there twice, or was moved", entry.chain, entry.number, place)
            return
        if entry.number > expected:
            self._fault(f"it is missing: the next one of its chain is {entry.number}", entry.chain, expected)
        elif linked and plain.get("previous") != last.hash:
            self._misfit(entry, last, place, str(plain.get("previous")))
        last.number, last.hash, last.position = entry.number, entry.hash, -1 if place is None else place

    def _misfit(self, entry: Linked, last: _End, place: int | None, called: str) -> None:
        """Which of two that do not fit was replaced: a checkpoint may have shown that the first was not, or was."""
        before = f"entry {last.number} of its chain"
        if 0 <= last.position < self._matched:
            told = f"it was replaced: it does not follow {before}, which is the one that was signed"
        elif self._mismatch and self._mismatch[0] <= last.position < self._mismatch[1]:
            told = f"it was replaced: entry {entry.number} of its chain was written behind another one"
            self._fault(told, entry.chain, last.number, last.position)
            return
        else:
            told = f"it does not follow {before}: one of the two was replaced"
            self._suspects.append(_Suspect(last.position, entry.chain, last.number, called, len(self._breaks)))
        self._fault(told, entry.chain, entry.number, place)

    def _checkpoint(self, written: object) -> None:
        self._checkpoints += 1
        where = f"the checkpoint in line {self._line}"
        try:
            found = SignedCheckpoint.parse(written if isinstance(written, str) else "")
        except BadInput as wrong:
            self._fault(f"{where} was changed: {wrong.message}")
            return
        point = found.checkpoint
        where = f"{where}, of size {point.size}"
        signers = found.note.signed_by(self._signing(), self.check)
        if point.origin != self._origin:
            self._fault(f"{where} is of another record: {point.origin}")
        elif not signers:
            self._fault(f"{where} is signed by no key that the entries above it name, or was changed")
        elif not self._tree_holds:
            return
        elif point.size != self._tree.size or self._tail:
            self._fault(f"{where} is in the wrong place: {self._tree.size} entries stand above it")
        elif point.root != self._tree.root() and not self._explained(point.root, point.size):
            self._differs(f"the checkpoint of size {point.size}, signed by {signers[0].id} at {_time(point.at)}")
        else:
            self._proved |= {key.id: _Checked(point.size, point.at) for key in signers}
            self._matched, self._since, self._faults_at_match = point.size, [], self._count
            self._base, self._leaves, self._suspects = self._tree.copy(), [], []

    def _signing(self) -> list[PublicKey]:
        """The keys in use by the entries so far, and trusted ones whose entry cannot be read."""
        return [*self._ring.active, *(key for key in self.keys if self._ring.get(key.key) is None)]

    def _explained(self, root: bytes, size: int) -> bool:
        """Whether the checkpoint fits if one entry was as the next one of its chain calls it: then that one is named,
        and the rest is checked on.
        """
        for each in self._suspects:
            nth = each.position - self._base.size
            if not 0 <= nth < len(self._leaves) or len(self._leaves) != size - self._base.size:
                continue
            tree = self._base.copy()
            for number, leaf in enumerate(self._leaves):
                tree.append(leaf_of(each.hash) if number == nth else leaf)
            if tree.root() == root:
                because = f"it was replaced: it is not the one of the checkpoint of size {size}"
                if each.noted < len(self._breaks):
                    self._breaks[each.noted] = Break(each.chain, each.number, because, each.position)
                self._tree = tree
                return True
        return False

    def _differs(self, what: str) -> None:
        """A checkpoint does not fit the entries above it, and the ones before it did: name those in between."""
        begin, end = self._matched, self._tree.size
        self._mismatch, self._tree_holds = (begin, end), False
        if self._count > self._faults_at_match:
            return  # what is wrong among them was named already
        named = ", ".join(f"{chain}#{number}" for chain, number in self._since[:_MOST_NAMED])
        if end - begin == 1:
            chain, number = self._since[0]
            self._fault(f"it was replaced: it is not the one of {what}", chain, number, begin)
        elif end == begin:
            self._fault(f"{what} does not fit the one before it")
        else:
            more = f" and {end - begin - _MOST_NAMED} more" if end - begin > _MOST_NAMED else ""
            told = (
                f"one of the entries at positions {begin} to {end - 1} ({named}{more}) was replaced: they are not those"
            )
            self._fault(f"{told} of {what}", "", 0, begin)

    def _head(self, told: object) -> None:
        self._heads += 1
        if not isinstance(told, dict) or told.keys() != {"chain", "number", "hash"}:
            self._unreadable("it is no head of a chain")
            return
        chain, number, head = told["chain"], told["number"], told["hash"]
        last = self._ends.pop(chain, _End()) if isinstance(chain, str) else _End()
        if last.number != number:
            begin = min(last.number, number) + 1 if type(number) is int else 0
            self._fault(f"the chain ends at entry {last.number}, its head says {number}", str(chain), begin)
        elif last.hash != head:
            self._fault("the last entry is not the one the chain's head names", str(chain), last.number)

    def _end(self, told: object) -> None:
        self._ended = True
        for chain in sorted(self._ends):
            self._fault("the chain's head is missing", chain, self._ends[chain].number)
        expected = {"entries": self._entries, "checkpoints": self._checkpoints, "sha256": self._digest.hexdigest()}
        if not self._count and told != expected:
            self._fault("the file was changed outside its entries: in its header, its heads or its last line")

    def _against_given(self) -> None:
        """Whether the file goes on from the checkpoint that was given."""
        if self.given is None:
            return
        point = self.given.checkpoint
        known = [key.public for key in self._ring.keys] + list(self.keys)
        signers = self.given.note.signed_by(known, self.check)
        if not signers:
            self._fault(f"the checkpoint you gave, of size {point.size}, is signed by no key of this record")
            return
        whose = f"the checkpoint you gave (size {point.size}, signed by {signers[0].id} at {_time(point.at)})"
        missing = point.size - self._tree.size
        if missing > 0:
            entries = "entry is" if missing == 1 else "entries are"
            last = f"{missing} {entries} cut off its end"
            self._fault(
                f"the file ends at position {self._tree.size - 1}, {whose} covers more: {last}", "", 0, self._tree.size
            )
        elif self._tree_holds and point.size and self._given_root != point.root:
            told = (
                f"the entries up to position {point.size - 1} are not those of {whose}: the record was rewritten since"
            )
            self._fault(told, "", 0, 0)
        elif self._tree_holds and point.size:
            for key in signers:
                if key.id not in self._proved or self._proved[key.id].size < point.size:
                    self._proved[key.id] = _Checked(point.size, point.at)

    # --- faults -------------------------------------------------------------------------------------------------------

    def _unreadable(self, because: str) -> None:
        """A line that should have been an entry, for all we know: the one with the next position."""
        self._tree_holds = False
        self._offset += 1
        self._fault(f"line {self._line} was changed: {because}", "", 0, self._tree.size + self._offset - 1)

    def _fault(self, because: str, chain: str = "", number: int = 0, position: int | None = None) -> None:
        self._count += 1
        if len(self._breaks) < MOST_FAULTS:
            self._breaks.append(Break(chain, number, because, position))


def told(proved: Proved) -> Iterable[str]:
    """What was proved, in sentences: which case it is, and what is not known."""
    if proved.key is None or proved.at is None:
        yield "No checkpoint in it is signed by a key that you can trust, so it proves nothing about who wrote it."
        return
    whose = f"the checkpoint of size {proved.size}, signed by {proved.key.id} at {_time(proved.at)}"
    if proved.count:
        yield f"What is named above aside, it is the record up to {whose}."
    else:
        yield f"Complete up to {whose}: every entry is there, unchanged and in its order."
    if proved.given is not None and not proved.count:
        yield f"It goes on from the checkpoint you gave, of size {proved.given.checkpoint.size}."
    if proved.after > 0:
        yield f"{proved.after} more stand behind it: linked in their chains, and not signed."
    yield "Nothing is known about entries written after that."
    if proved.self_named:
        yield f"The file itself named this key: if {proved.key.id} is not the one you noted, it proves nothing."
    if proved.recovered:
        names = ", ".join(proved.recovered)
        yield f"Keys were lost once: no other vouches for {names}. The entry key:recovered says who began anew."


def _read(line: bytes, codec: Codec) -> tuple[dict[str, Any], str]:
    """What a line says, and what is wrong with how it is written."""
    if line[-1:] != b"\n":
        return {}, "it is cut off"
    try:
        told = codec.read(line)
        if isinstance(told, dict) and codec.write(told) + b"\n" == line:
            return told, ""
    except (ValueError, TypeError, RecursionError):
        return {}, "it is not JSON"
    return {}, "it is not in canonical form"


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
