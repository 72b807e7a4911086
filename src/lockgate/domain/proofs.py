"""The proof that one entry is on the record, as a small file that says all of it by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lockgate.domain.audit import Linked, reading
from lockgate.domain.canonical import Plain
from lockgate.domain.checkpoints import Check, PublicKey, SignedCheckpoint, proof_bytes, proof_texts
from lockgate.domain.errors import BadInput
from lockgate.domain.exported import entry
from lockgate.domain.merkle import includes
from lockgate.domain.verification import leaf_of

FORMAT = "lockgate-proof-1"
_FIELDS = frozenset({"format", "entry", "proof", "checkpoint", "keys"})


def proof(linked: Linked, position: int, path: Iterable[bytes], note: str, keys: Iterable[PublicKey]) -> Plain:
    """The file: the entry, the hashes that lead from it to the root, and the checkpoint that signs the root."""
    return {
        "format": FORMAT,
        "entry": entry(linked, position),
        "proof": list(proof_texts(tuple(path))),
        "checkpoint": note,
        "keys": [str(key) for key in keys],
    }


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """An entry that is on the record, by the checkpoint that `key` signed. `self_named`: the file named the key."""

    linked: Linked
    position: int
    checkpoint: SignedCheckpoint
    key: PublicKey
    self_named: bool


def looks_like_one(beginning: bytes) -> bool:
    """Whether a file that begins so is one of these, and not an export."""
    return FORMAT.encode() in beginning


def verify(written: bytes, check: Check, keys: tuple[PublicKey, ...] = ()) -> ProvedEntry:
    """What the file proves. Raises BadInput for what is no such file, ValueError naming what does not hold.

    Without `keys` it is one of those that the file names.
    """
    told = _read(written)
    linked, position = _entry(told["entry"])
    checkpoint = SignedCheckpoint.parse(str(told["checkpoint"]))
    named = f"{linked.chain}#{linked.number} at position {position}"
    wrong = reading(linked)[1] if linked.text else "its text was removed"
    if wrong:
        raise ValueError(f"{named}: {wrong}")
    own = tuple(PublicKey.parse(str(each)) for each in told["keys"])
    signers = checkpoint.note.signed_by(keys or own, check)
    point = checkpoint.checkpoint
    if not signers or signers[0].name != point.origin:
        whose = "a key you gave" if keys else "a key that the file names"
        raise ValueError(f"the checkpoint of size {point.size} is not signed by {whose}")
    if not includes(leaf_of(linked.hash), position, point.size, proof_bytes(told["proof"]), point.root):
        raise ValueError(f"{named}: it is not in the tree of the checkpoint of size {point.size}")
    return ProvedEntry(linked, position, checkpoint, signers[0], not keys)


def _read(written: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(written)
    except (ValueError, RecursionError):
        told = None
    fine = isinstance(told, dict) and told.keys() == _FIELDS and told["format"] == FORMAT
    if not fine or not isinstance(told["proof"], list) or not isinstance(told["keys"], list):
        raise BadInput("This is no proof of an entry.", hint="Make one with: lockgate audit prove ENTRY --output FILE")
    found: Mapping[str, Any] = told
    return found


def _entry(told: object) -> tuple[Linked, int]:
    if isinstance(told, dict) and told.keys() == {"position", "chain", "number", "hash", "text"}:
        chain, number, position = told["chain"], told["number"], told["position"]
        texts = (chain, told["hash"], told["text"])
        if all(isinstance(each, str) for each in texts) and type(number) is type(position) is int:
            return Linked(chain, number, told["hash"], told["text"]), position
    raise BadInput("The proof holds no entry.", hint="Make it with: lockgate audit prove ENTRY --output FILE")
