"""Checkpoints of the record's tree as signed notes, and the names of the keys that sign them.

The forms are those of the C2SP: a checkpoint is a `tlog-checkpoint`, signed as a `signed-note` with Ed25519, and a
public key is written as the `vkey` of that specification. Other programs that know them can check ours.
How a signature is made and checked is a port.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lockgate.domain.errors import BadInput
from lockgate.domain.merkle import HASH_BYTES

KEY_BYTES, SIGNATURE_BYTES, ID_BYTES = 32, 64, 4
_ED25519 = b"\x01"  # how a signed note names the kind of signature
_DASH = "\u2014 "
_NAME = re.compile(r"[!-*,-~]{1,200}")  # what may stand before a plus or a space
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_AT = "at "

# Whether the signature (64 bytes) of the message was made by the key (32 bytes).
Check = Callable[[bytes, bytes, bytes], bool]


class Signer(Protocol):
    """Holds a private key. `key` is its public half."""

    @property
    def key(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key under its name: the record's origin. Written as `name+id+base64` (a vkey)."""

    name: str
    key: bytes

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that tell the keys of one name apart."""
        told = self.name.encode() + b"\n" + _ED25519 + self.key
        return hashlib.sha256(told).digest()[:ID_BYTES].hex()

    def __str__(self) -> str:
        return f"{self.name}+{self.id}+{_base64(_ED25519 + self.key)}"

    @classmethod
    def parse(cls, written: str) -> PublicKey:
        """Raises BadInput for anything that is no Ed25519 vkey, or whose id is not its own."""
        name, _, rest = written.strip().partition("+")
        id, _, told = rest.partition("+")
        key = _bytes(told)
        if not _NAME.fullmatch(name) or key is None or len(key) != KEY_BYTES + 1 or key[:1] != _ED25519:
            raise BadInput(f"{written.strip()[:120]!r} is no public key of a record.", hint=_KEY_HINT)
        found = cls(name, key[1:])
        if found.id != id:
            raise BadInput(
                f"The public key {written.strip()[:120]!r} is damaged: its id is {found.id}.", hint=_KEY_HINT
            )
        return found


@dataclass(frozen=True, slots=True)
class Signature:
    """One line below a note: whose it is, and what it says."""

    name: str
    id: str
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {_base64(bytes.fromhex(self.id) + self.signature)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text of whole lines, and the signatures below it."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n" + "".join(f"{each}\n" for each in self.signatures)

    def signed_by(self, keys: Iterable[PublicKey], check: Check) -> tuple[PublicKey, ...]:
        """Which of these keys have signed the note. A line that names one of them and is wrong counts for nothing."""
        message = self.text.encode()
        known = {(key.name, key.id): key for key in keys}
        found = []
        for line in self.signatures:
            key = known.get((line.name, line.id))
            if key is not None and check(key.key, line.signature, message):
                found.append(key)
        return tuple(found)

    @classmethod
    def parse(cls, written: str) -> Note:
        """Raises BadInput for anything that is no signed note, written exactly as notes are."""
        text, separator, below = written.rpartition("\n\n")
        lines = below.split("\n")
        if not separator or not text or len(lines) < 2 or lines.pop() != "":
            raise BadInput("This is no signed note.", hint=_NOTE_HINT)
        note = cls(f"{text}\n", tuple(_signature(line) for line in lines))
        if str(note) != written or any(ord(letter) < 0x20 and letter != "\n" for letter in written):
            raise BadInput("This is no signed note as it was written.", hint=_NOTE_HINT)
        return note


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `size` entries of the record `origin`, by the root of their tree, as known `at` that time."""

    origin: str
    size: int
    root: bytes
    at: datetime

    @property
    def text(self) -> str:
        """The lines that are signed: origin, size, root, and when."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n{_AT}{self.at.isoformat(timespec='microseconds')}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Raises BadInput for any other text than the one that `text` gives."""
        lines = text.split("\n")
        if len(lines) == 5 and _NAME.fullmatch(lines[0]) and _NUMBER.fullmatch(lines[1]):
            root = _bytes(lines[2]) or b""
            with contextlib.suppress(ValueError):
                at = datetime.fromisoformat(lines[3].removeprefix(_AT))
                found = cls(lines[0], int(lines[1]), root, at)
                if len(root) == HASH_BYTES and at.tzinfo is not None and found.text == text:
                    return found
        raise BadInput("This is no checkpoint of a record.", hint=_NOTE_HINT)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint and the note it came in; whether its signatures are right is still to be asked."""

    checkpoint: Checkpoint
    note: Note

    @classmethod
    def parse(cls, written: str) -> SignedCheckpoint:
        """Raises BadInput for anything else than a signed checkpoint."""
        note = Note.parse(written)
        return cls(Checkpoint.parse(note.text), note)


def sign(text: str, name: str, signer: Signer) -> Note:
    """The text as a note, signed under that name."""
    key = PublicKey(name, signer.key)
    return Note(text, (Signature(name, key.id, signer.sign(text.encode())),))


def signed(checkpoint: Checkpoint, signer: Signer) -> SignedCheckpoint:
    """The checkpoint, signed under the record's own name."""
    return SignedCheckpoint(checkpoint, sign(checkpoint.text, checkpoint.origin, signer))


def proof_texts(proof: Sequence[bytes]) -> tuple[str, ...]:
    """A proof as people and JSON can carry it: each hash in base64."""
    return tuple(_base64(each) for each in proof)


def proof_bytes(written: Sequence[str]) -> tuple[bytes, ...]:
    """The hashes of `proof_texts`. Raises BadInput for anything that is no hash."""
    found = tuple(_bytes(each) for each in written)
    if any(each is None or len(each) != HASH_BYTES for each in found):
        raise BadInput("A hash of the proof is not 32 bytes in base64.", hint="The proof was changed or cut.")
    return tuple(each for each in found if each is not None)


_KEY_HINT = "Take it as `lockgate audit key show` prints it: NAME+ID+BASE64."
_NOTE_HINT = "Take it as `lockgate audit checkpoint` prints it, with its empty line and its last line end."


def _signature(line: str) -> Signature:
    name, _, told = line.removeprefix(_DASH).partition(" ")
    found = _bytes(told)
    if not line.startswith(_DASH) or not _NAME.fullmatch(name) or not found or len(found) != ID_BYTES + SIGNATURE_BYTES:
        raise BadInput("A signature below the note cannot be read.", hint=_NOTE_HINT)
    return Signature(name, found[:ID_BYTES].hex(), found[ID_BYTES:])


def _base64(told: bytes) -> str:
    return base64.b64encode(told).decode()


def _bytes(written: object) -> bytes | None:
    """What base64 says; None for what nobody writes: no text, other letters, or bits that mean nothing."""
    if not isinstance(written, str):
        return None
    try:
        found = base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if _base64(found) == written else None
