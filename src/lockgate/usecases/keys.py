"""Which keys may sign checkpoints: those on the record. The first is put there at the first start.

Later ones need a signature of one that is known. So nobody who can only write to the database, and no process started
with another key, can make the record be signed by a key of theirs.
"""

from __future__ import annotations

from lockgate.domain.access import Act
from lockgate.domain.audit import SYSTEM, Entry
from lockgate.domain.checkpoints import Check, Note, PublicKey, Signer, sign
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.identity import LOCKGATE, Who
from lockgate.domain.keyring import ADDED, RECOVERED, RETIRED, Keyring, KnownKey, read, vouching_text
from lockgate.usecases.authorise import authorise
from lockgate.usecases.ports import Ports, Work
from lockgate.usecases.tree_ports import Keys

_MOST = 1_000


def ring(work: Work, check: Check) -> Keyring:
    """The keys on the record."""
    found = [each for action in (ADDED, RETIRED, RECOVERED) for each in work.record.read(action=action, limit=_MOST)]
    mine = sorted((each for each in found if each.linked.chain == SYSTEM), key=lambda each: each.linked.number)
    return read((each.plain for each in mine), check)


def ensure(ports: Ports, keys: Keys, check: Check, *, signs: bool) -> KnownKey | None:
    """This machine's key as the record knows it; at the very first start it is made and put on the record.

    A process that does not sign needs none, but one that it has must be on the record. Raises Conflict when it is not,
    or was retired; BadInput or Unavailable when it cannot be read.
    """
    signer = keys.load()
    with ports.store.reading() as work:
        known = ring(work, check)
    if signer is None and not signs:
        return None
    if signer is None:
        signer = keys.make()
    if not known.keys:
        known = _begin(ports, signer, check)
    mine = known.get(signer.key)
    if mine is None:
        raise _stranger(known, signer, keys)
    if not mine.active:
        raise Conflict(
            f"This machine's key {mine.public.id} was retired on {mine.retired_at:%Y-%m-%d} and may sign no more.",
            hint=f"Put a key that is in use in its place ({keys.place}). Which are: lockgate audit key show",
        )
    return mine


def vouch(known: Keyring, signer: Signer, new: PublicKey) -> str:
    """A known key's signature for a new one, as `add` takes it. Raises Conflict when the signer is not in use."""
    mine = known.get(signer.key)
    if mine is None or not mine.active:
        raise Conflict(
            "The key on this machine is not in use on the record, so it cannot vouch for another.",
            hint="Run this where a known key is. Which are: lockgate audit key show",
        )
    return str(sign(vouching_text(known.origin, new), known.origin, signer))


def add(ports: Ports, who: Who, written: str, vouched: str, reason: str, check: Check) -> KnownKey:
    """Put a key on the record that a known one vouches for. One that is there already changes nothing.

    Raises Forbidden for whoever may not, BadInput for what is no key of this record or is not vouched for.
    """
    key = PublicKey.parse(written)
    with ports.store.writing(None) as work:
        authorise(work, who, Act.KEEP_RECORD)
        known = ring(work, check)
        there = known.get(key.key)
        if there is not None:
            return there
        detail = {"key": str(key), "vouched": str(Note.parse(vouched))}
        return _write(
            work, known, Entry("key:added", who, ports.clock.now(), after=key.id, why=reason, detail=detail), check
        )


def retire(ports: Ports, who: Who, id: str, reason: str, check: Check) -> KnownKey:
    """Let a key sign no more; what it signed stays good. Raises NotFound, and Conflict for the last one in use."""
    with ports.store.writing(None) as work:
        authorise(work, who, Act.KEEP_RECORD)
        known = ring(work, check)
        found = known.by_id(id)
        if found is None:
            raise NotFound(f"There is no key {id!r} on the record.", hint="See which are: lockgate audit key show")
        if not found.active:
            return found
        if len(known.active) == 1:
            raise Conflict(
                f"{id} is the only key in use: without it no checkpoint could be signed.",
                hint="Put another one in its place first: lockgate audit key rotate",
            )
        detail = {"key": str(found.public)}
        return _write(
            work, known, Entry("key:retired", who, ports.clock.now(), before=id, why=reason, detail=detail), check
        )


def recover(ports: Ports, keys: Keys, check: Check, who: Who, reason: str) -> KnownKey:
    """Begin anew with this machine's key where every known one is lost: all others are retired, for good.

    Nobody vouches for it, and every verification from now on says so. Raises Conflict where the key is known: it can
    sign, or vouch for another.
    """
    signer = keys.load() or keys.make()
    with ports.store.writing(None) as work:
        known = ring(work, check)
        mine = known.get(signer.key)
        if mine is not None:
            raise Conflict(
                f"This machine's key {mine.public.id} is on the record, so nothing has to be recovered.",
                hint="A retired key stays retired: remove its file to make another."
                if not mine.active
                else "Start the controller, or vouch for another key: lockgate audit key add",
            )
        if not known.keys:
            raise Conflict("The record has no key yet.", hint="Start the controller: it makes one.")
        key = PublicKey(known.origin, signer.key)
        detail = {"key": str(key)}
        return _write(
            work, known, Entry("key:recovered", who, ports.clock.now(), after=key.id, why=reason, detail=detail), check
        )


def _begin(ports: Ports, signer: Signer, check: Check) -> Keyring:
    """Put the first key on the record; whoever comes second finds that of the first."""
    with ports.store.writing(None) as work:
        known = ring(work, check)
        if known.keys:
            return known
        key = PublicKey(f"lockgate/{ports.ids.new('record')}", signer.key)
        why = "the first key of this record"
        _write(
            work,
            known,
            Entry("key:added", LOCKGATE, ports.clock.now(), after=key.id, why=why, detail={"key": str(key)}),
            check,
        )
        return ring(work, check)


def _write(work: Work, known: Keyring, entry: Entry, check: Check) -> KnownKey:
    """Write the entry if it changes the keys as it should. Raises BadInput, and nothing is written then."""
    key = PublicKey.parse(str((entry.detail or {})["key"]))
    try:
        known.after(entry.as_plain(SYSTEM, 0, ""), check)
    except BadInput as wrong:
        hint = "Take it as `lockgate audit key add` makes it, on a machine whose key is known."
        raise BadInput(wrong.message, hint=hint) from None
    work.record.write(entry)
    found = ring(work, check).get(key.key)
    if found is None:
        raise RuntimeError(f"the key {key.id} was put on the record and is not there")
    return found


def _stranger(known: Keyring, signer: Signer, keys: Keys) -> Conflict:
    key = PublicKey(known.origin, signer.key)
    names = ", ".join(each.id for each in known.active)
    return Conflict(
        f"The key of this machine, {key.id} ({keys.place}), is not on the record: it knows {names}. "
        "Nothing it signed could be checked, so nothing is started.",
        hint="Either put a known key in its place (the file, or LOCKGATE_CHECKPOINT_KEY), or let one vouch for it, "
        f"where a known one is: lockgate audit key add '{key}'\n"
        "If all known keys are lost: lockgate audit key recover --reason TEXT, which stays visible for ever.",
    )
