"""`lockgate audit verify`: the record at the server, or an exported file without server, database or network."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.errors import BadInput

if TYPE_CHECKING:
    from lockgate.domain.checkpoints import PublicKey, SignedCheckpoint
    from lockgate.domain.proofs import ProvedEntry
    from lockgate.domain.verification import Proved
    from lockgate.sdk.client import Lockgate

_LONGEST_LINE = 64 * 1024 * 1024
_LONGEST_NOTE = 64 * 1024
_SHOWN = 20
_LOOK_EVERY = 2_000
_SIGNED_WITHIN = timedelta(minutes=1)


def add_to(group: click.Group) -> None:
    """Put the command into the group."""
    group.add_command(verify)


@click.command(short_help="Check that no entry was changed, dropped or reordered.")
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@click.option(
    "--checkpoint", "kept", metavar="FILE", help="A checkpoint that was kept elsewhere: nothing before it may differ."
)
@click.option("--key", "given", metavar="KEY", multiple=True, help="The public key you trust, or a file that holds it.")
@options.asks
def verify(
    file: str | None, kept: str | None, given: tuple[str, ...], url: str | None, user: str | None, as_json: bool
) -> None:
    """Check that no entry was changed, dropped or reordered, and name what was. Exits 1 where one was.

    Without FILE the server checks its database. With FILE, which `audit export` or `audit prove` wrote, it is checked
    here, without a server and with nothing but the public key.
    """
    trusted = tuple(read_key(each) for each in given)
    checkpoint = _checkpoint(kept) if kept else None
    if file is None:
        holds = _live(options.caller(url, user).client(), checkpoint, trusted, as_json=as_json)
    else:
        with opened(Path(file)) as source:
            holds = _offline(source, checkpoint, trusted, as_json=as_json)
    if not holds:
        raise outcome.Ends(outcome.REFUSED)


# --- a file -----------------------------------------------------------------------------------------------------------


def _offline(
    source: BinaryIO, checkpoint: SignedCheckpoint | None, trusted: tuple[PublicKey, ...], *, as_json: bool
) -> bool:
    from lockgate.domain import proofs

    beginning = source.read(_LONGEST_NOTE)
    source.seek(0)
    if b"\n" not in beginning.rstrip(b"\n") and proofs.looks_like_one(beginning):
        return _proof(source.read(_LONGEST_LINE), checkpoint, trusted, as_json=as_json)
    found = check_file(source, checkpoint, trusted, progress=not as_json)
    if as_json:
        outcome.show_json(_plain(found))
    else:
        _tell(found)
    return found.holds


def check_file(
    source: BinaryIO,
    checkpoint: SignedCheckpoint | None = None,
    trusted: tuple[PublicKey, ...] = (),
    *,
    progress: bool = False,
) -> Proved:
    """What an export proves. Raises BadInput for a file that is none, or is of another record than what was given."""
    from lockgate.domain.verification import Verification
    from lockgate.wiring import check_signature, fast_json

    checking = Verification(check_signature, trusted, checkpoint, fast_json())
    size = source.seek(0, 2)
    source.seek(0)
    with _bar(size, shown=progress) as advance:
        count = 0
        while line := source.readline(_LONGEST_LINE):
            checking.take(line)
            count += 1
            if count % _LOOK_EVERY == 0:
                advance(source.tell())
        advance(size)
    if not count:
        raise BadInput("The file is empty.", hint="Make an export with: lockgate audit export --output FILE")
    return checking.finish()


def _tell(found: Proved) -> None:
    from lockgate.domain.verification import told

    counted = show.counted(found.entries, "entry", "entries")
    if found.count:
        show.line(f"The file does NOT hold ({counted} read):", err=True)
        _show_breaks(found.breaks, found.count)
    elif found.holds:
        show.line(f"The file holds: {counted} and {show.counted(found.checkpoints, 'checkpoint')} checked.")
    else:
        show.line(f"NOTHING IS PROVED ({counted} read, linked in their chains):", err=True)
    for line in told(found):
        show.line(line, err=not found.holds)


def _plain(found: Proved) -> dict[str, Any]:
    from lockgate.domain.verification import told

    return {
        "holds": found.holds,
        "entries": found.entries,
        "checkpoints": found.checkpoints,
        "size": found.size,
        "key": str(found.key) if found.key else "",
        "at": found.at.isoformat() if found.at else None,
        "after": found.after,
        "self_named": found.self_named,
        "recovered": list(found.recovered),
        "count": found.count,
        "breaks": [
            {"chain": b.chain, "number": b.number, "position": b.position, "because": b.because} for b in found.breaks
        ],
        "told": list(told(found)),
    }


def _proof(
    written: bytes, checkpoint: SignedCheckpoint | None, trusted: tuple[PublicKey, ...], *, as_json: bool
) -> bool:
    from lockgate.domain import proofs
    from lockgate.wiring import check_signature

    if checkpoint is not None:
        raise BadInput("A proof of one entry holds its own checkpoint.", hint="Leave --checkpoint out, and give --key.")
    try:
        found = proofs.verify(written, check_signature, trusted)
    except ValueError as wrong:
        if as_json:
            outcome.show_json({"holds": False, "because": str(wrong)})
        else:
            show.line(f"The proof does NOT hold: {wrong}.", err=True)
        return False
    if as_json:
        outcome.show_json(_plain_proof(found))
        return True
    point = found.checkpoint.checkpoint
    show.line(
        f"{found.linked.chain}#{found.linked.number} is on the record, at position {found.position}: "
        f"the checkpoint of size {point.size}, signed by {found.key.id} at {show.when(point.at)} UTC, covers it."
    )
    if found.self_named:
        show.line(f"The file itself named this key: if {found.key.id} is not the one you noted, it proves nothing.")
    show.line(found.linked.text)
    return True


def _plain_proof(found: ProvedEntry) -> dict[str, Any]:
    point = found.checkpoint.checkpoint
    return {
        "holds": True,
        "chain": found.linked.chain,
        "number": found.linked.number,
        "position": found.position,
        "text": found.linked.text,
        "size": point.size,
        "key": str(found.key),
        "at": point.at.isoformat(),
        "self_named": found.self_named,
    }


# --- the server -------------------------------------------------------------------------------------------------------


def _live(
    client: Lockgate, checkpoint: SignedCheckpoint | None, trusted: tuple[PublicKey, ...], *, as_json: bool
) -> bool:
    from lockgate.wire.plain import to_json

    found = client.record.verify()
    wrong = list(_against(client, checkpoint, trusted))
    holds = found.holds and not wrong
    if as_json:
        outcome.show_json({**to_json(found), "holds": holds, "besides": wrong})
        return holds
    counted = show.counted(found.entries, "entry", "entries")
    if holds:
        show.line(f"The record holds: {counted} checked, every link is in its place.")
        if found.size:
            show.line(
                f"The first {found.size} are in the tree of the checkpoint that {found.key} signed at "
                f"{show.when(found.at)} UTC ({show.counted(found.checkpoints, 'checkpoint')} checked)."
            )
        if found.entries > found.size:
            show.line(f"{found.entries - found.size} more are not signed yet.{_late(found.at)}")
    else:
        show.line(f"The record does NOT hold ({counted} checked):", err=True)
        if found.breaks:
            _show_breaks(found.breaks, found.count)
        for line in wrong:
            show.line(line, err=True)
    return holds


def _late(signed_at: datetime | None) -> str:
    """What to look at where the controller should have signed long ago."""
    if signed_at is not None and datetime.now(UTC) - signed_at < _SIGNED_WITHIN:
        return ""
    since = f"The last checkpoint is of {show.when(signed_at)} UTC" if signed_at else "No checkpoint was ever signed"
    return f" {since}: does a controller run, and what does its log say?"


def _against(client: Lockgate, checkpoint: SignedCheckpoint | None, trusted: tuple[PublicKey, ...]) -> Iterator[str]:
    """Whether the record goes on from a checkpoint that was kept, and is signed by a key one trusts."""
    from lockgate.domain.checkpoints import PublicKey, SignedCheckpoint, proof_bytes
    from lockgate.domain.merkle import goes_on
    from lockgate.wiring import check_signature

    if checkpoint is None and not trusted:
        return
    newest = SignedCheckpoint.parse(client.record.checkpoint().note)
    known = trusted or tuple(PublicKey.parse(each.public) for each in client.record.keys().keys)
    if not newest.note.signed_by(known, check_signature):
        yield f"The newest checkpoint, of size {newest.checkpoint.size}, is not signed by a key that you gave."
    if checkpoint is None:
        return
    old, new = checkpoint.checkpoint, newest.checkpoint
    if old.origin != new.origin:
        raise BadInput(
            f"The checkpoint you gave is of another record, {old.origin}.", hint=f"This one is {new.origin}."
        )
    if not checkpoint.note.signed_by(known, check_signature):
        yield f"The checkpoint you gave, of size {old.size}, is signed by no key of this record."
    elif new.size < old.size:
        yield f"The record was cut off: the checkpoint you gave covers {old.size} entries, its newest one {new.size}."
    else:
        proof = proof_bytes(client.record.consistency(old.size, new.size).proof)
        if not goes_on(old.size, old.root, new.size, new.root, proof):
            yield f"The record was rewritten: its first {old.size} entries are not those of the checkpoint you gave."


# --- what was given ---------------------------------------------------------------------------------------------------


def _show_breaks(breaks: Any, count: int) -> None:
    rows = [
        (
            f"{each.chain}#{each.number}" if each.chain else "",
            each.position,
            each.because,
        )
        for each in breaks[:_SHOWN]
    ]
    show.table(("entry", "position", "what is wrong"), rows, err=True)
    if count > _SHOWN:
        show.line(f"and {count - _SHOWN} more", err=True)


def read_key(written: str) -> PublicKey:
    """The key that is written so, or the one in the file of that name. Raises BadInput."""
    from lockgate.domain.checkpoints import PublicKey

    if "+" not in written:
        with opened(Path(written)) as file:
            written = file.read(_LONGEST_NOTE).decode(errors="replace")
    return PublicKey.parse(written)


def _checkpoint(path: str) -> SignedCheckpoint:
    from lockgate.domain.checkpoints import SignedCheckpoint

    with opened(Path(path)) as file:
        told = file.read(_LONGEST_NOTE).decode(errors="replace")
        if told.startswith("{"):
            told = _last_anchored(file)
    return SignedCheckpoint.parse(told)


def _last_anchored(file: BinaryIO) -> str:
    """The newest checkpoint of a file that an anchor appends to: one JSON object a line. Raises BadInput."""
    file.seek(max(0, file.seek(0, 2) - _LONGEST_NOTE))
    lines = [line for line in file.read().splitlines() if line.strip()]
    try:
        return str(json.loads(lines[-1])["note"])
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        raise BadInput(
            "The last line of the file holds no checkpoint: it may have been cut off.", hint="Name a whole one."
        ) from None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, to be read from any place. Raises BadInput when that is not possible."""
    try:
        with path.open("rb") as file:
            file.seek(0)
            yield file
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.", hint="Is it the right file?") from None


@contextlib.contextmanager
def _bar(size: int, *, shown: bool) -> Iterator[Any]:
    """How far it is, on a terminal; a function that is told so."""
    if not shown or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("checking"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=show.console(err=True), transient=True) as progress:
        task = progress.add_task("", total=size)
        yield lambda done: progress.update(task, completed=done)
