"""Exports of records that a test makes up: chains, a tree, checkpoints and keys, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from lockgate.adapters.keys.ed25519 import Ed25519Signer, check
from lockgate.domain import exported
from lockgate.domain.audit import BEGINNING, SYSTEM, Entry, Linked, link
from lockgate.domain.canonical import Plain
from lockgate.domain.checkpoints import Checkpoint, PublicKey, SignedCheckpoint, sign, signed
from lockgate.domain.keyring import vouching_text
from lockgate.domain.merkle import Frontier
from lockgate.domain.verification import Proved, Verification, leaf_of
from tests.unit.domain.cases import ANN, NOW

ORIGIN = "lockgate/record-1"


@dataclass
class Story:
    """A record that goes on: its first entry names the first key."""

    signer: Ed25519Signer = field(default_factory=Ed25519Signer.make)
    objects: list[Plain] = field(default_factory=list)
    entries: list[Linked] = field(default_factory=list)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    points: list[SignedCheckpoint] = field(default_factory=list)
    tree: Frontier = field(default_factory=Frontier)
    tail: list[Plain] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.write("key:added", SYSTEM, {"key": str(self.key)})

    @property
    def key(self) -> PublicKey:
        return PublicKey(ORIGIN, self.signer.key)

    def write(self, action: str, chain: str, detail: dict[str, Plain] | None = None, *, placed: bool = True) -> Linked:
        number, previous = self.heads.get(chain, (0, BEGINNING))
        model = "" if chain == SYSTEM else chain
        at = NOW + timedelta(seconds=len(self.entries))
        linked = link(Entry(action, ANN, at, model, why="so", detail=detail), chain, number + 1, previous)
        self.heads[chain] = (linked.number, linked.hash)
        self.entries.append(linked)
        if placed:
            self.objects.append(exported.entry(linked, self.tree.size))
            self.tree.append(leaf_of(linked.hash))
        else:
            self.tail.append(exported.entry(linked, None))
        return linked

    def sign(self, signer: Ed25519Signer | None = None) -> SignedCheckpoint:
        made = signed(Checkpoint(ORIGIN, self.tree.size, self.tree.root(), NOW), signer or self.signer)
        self.points.append(made)
        self.objects.append(exported.checkpoint(str(made.note)))
        return made

    def rotate(self) -> None:
        fresh = Ed25519Signer.make()
        new = PublicKey(ORIGIN, fresh.key)
        vouched = str(sign(vouching_text(ORIGIN, new), ORIGIN, self.signer))
        self.write("key:added", SYSTEM, {"key": str(new), "vouched": vouched})
        self.write("key:retired", SYSTEM, {"key": str(self.key)})
        self.signer = fresh

    def recover(self) -> None:
        self.signer = Ed25519Signer.make()
        self.write("key:recovered", SYSTEM, {"key": str(self.key)})

    def lines(self) -> list[bytes]:
        heads = [exported.head(chain, *end) for chain, end in sorted(self.heads.items())]
        header = exported.header(ORIGIN, [self.key], NOW)
        return list(exported.written([header, *self.objects, *self.tail, *heads]))


def story(*steps: str) -> Story:
    """One chain's name a step, or `sign`."""
    told = Story()
    for number, step in enumerate(steps):
        if step == "sign":
            told.sign()
        else:
            told.write(f"act:{'abcdefghij'[number % 10]}", step)
    return told


def proved(lines: Sequence[bytes], keys: tuple[PublicKey, ...] = (), given: SignedCheckpoint | None = None) -> Proved:
    """What these lines prove."""
    checking = Verification(check, keys, given)
    for line in lines:
        checking.take(line)
    return checking.finish()


def again(lines: Sequence[bytes]) -> list[bytes]:
    """The same lines with an end that fits them: whoever changes a file can write that too."""
    import json

    return list(exported.written([json.loads(line) for line in lines if not line.startswith(b'{"end"')]))
