"""`lockgate audit key`: the keys that sign checkpoints, and how one takes over; `audit mend` for the tree they sign."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.errors import BadInput, Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from lockgate.domain.checkpoints import Signer
    from lockgate.wire.record import RecordKey, RecordKeys

_WHY = click.option("--reason", default="", help="Why, for the record.")


def add_to(group: click.Group) -> None:
    """Put the commands into the group."""
    group.add_command(key)
    group.add_command(mend)


@click.group(short_help="The keys that sign the record's checkpoints.")
def key() -> None:
    """The keys that sign the record's checkpoints."""


@key.command(name="show", short_help="Show the public keys, to be noted elsewhere.")
@options.home_option
@options.asks
def show_(home: str | None, url: str | None, user: str | None, as_json: bool) -> None:
    """Show the public keys on the record, and which of them this machine has. Note them where nobody here can write."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().record.keys()
    mine = None
    with contextlib.suppress(BadInput, Unavailable):  # whoever looks need not be the one who may read it
        mine = _own(found, _signer(home))
    if as_json:
        outcome.show_json({**to_json(found), "here": mine.id if mine else ""})
        return
    if not found.keys:
        show.line("The record has no key yet: the controller makes one when it starts.")
        return
    rows = [
        (
            each.id,
            "retired" if each.retired_at else "in use",
            show.when(each.at),
            _how(each),
            "yes" if each == mine else "",
        )
        for each in found.keys
    ]
    show.table(("id", "state", "since (UTC)", "how it came", "here"), rows)
    for each in found.keys:
        if each.retired_at is None:
            show.line(each.public)


@key.command(short_help="Let this machine's key vouch for another one.")
@click.argument("public")
@_WHY
@options.home_option
@options.asks
def add(public: str, reason: str, home: str | None, url: str | None, user: str | None, as_json: bool) -> None:
    """Put the key PUBLIC (as the controller that has it prints it) on the record: this machine's key vouches for it."""
    from lockgate.domain.checkpoints import PublicKey

    new = PublicKey.parse(public)
    record = options.caller(url, user).client().record
    vouched = _vouch(record.keys(), _required(home), new)
    _tell(record.add_key(str(new), vouched, reason), f"{new.id} is on the record now, and may sign.", as_json)


@key.command(short_help="Put a new key in the place of this machine's.")
@_WHY
@options.home_option
@options.asks
def rotate(reason: str, home: str | None, url: str | None, user: str | None, as_json: bool) -> None:
    """Make a new key, let the old one vouch for it, and retire the old one. The controller takes it without a restart.

    Interrupted at any point, the same command goes on from there.
    """
    from lockgate import wiring
    from lockgate.domain.checkpoints import PublicKey

    files = wiring.record_keys(options.settings(home=home))
    old, record = _required(home), options.caller(url, user).client().record
    known = record.keys()
    fresh = files.next()
    new = PublicKey(known.origin, fresh.key)
    if all(each.id != new.id for each in known.keys):
        known = record.add_key(str(new), _vouch(known, old, new), reason)
    files.replace(fresh)
    retired = PublicKey(known.origin, old.key).id
    if retired != new.id:
        known = record.retire_key(retired, reason)
    _tell(known, f"{new.id} signs from now on; {retired} is retired. Note the new one: {new}", as_json)


@key.command(short_help="Let a key sign no more.")
@click.argument("id")
@_WHY
@options.asks
def retire(id: str, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Let the key ID (see `audit key show`) sign no more; what it signed stays good. The last one in use stays."""
    found = options.caller(url, user).client().record.retire_key(id, reason)
    _tell(found, f"{id} is retired: what it signed stays good, and it signs no more.", as_json)


@key.command(short_help="Begin anew where every known key is lost; visible for ever.")
@click.option("--reason", required=True, help="What happened, for the record.")
@options.home_option
@click.option("--database", metavar="URI", help="The database. [sqlite:///HOME/lockgate.db]")
@options.as_json
def recover(reason: str, as_json: bool, **told: Any) -> None:
    """Put this machine's key on the record although no known key vouches for it, and retire all others.

    For when every known key is lost. It works on the database itself, and every verification says so from then on:
    whoever checks must be given the new key, and told why.
    """
    from lockgate import wiring

    new = wiring.recover_key(options.settings(**told), reason)
    if as_json:
        outcome.show_json({"id": new.public.id, "public": str(new.public)})
    else:
        show.line(f"{new.public.id} is on the record, and all other keys are retired. No key vouches for it:")
        show.line(f"give it to whoever checks this record, and say why: {new.public}")


@click.command(short_help="Build what was edited of the record's tree again from the entries.")
@click.option("--reason", required=True, help="What happened, for the record.")
@options.home_option
@click.option("--database", metavar="URI", help="The database. [sqlite:///HOME/lockgate.db]")
@options.as_json
def mend(reason: str, as_json: bool, **told: Any) -> None:
    """Build leaves and nodes of the tree that were edited past Lockgate again, with the controller stopped.

    Only where the entries themselves are those that every checkpoint signed: else nothing is changed, and exit 1. It
    works on the database itself, and is on the record.
    """
    from lockgate import wiring

    found = wiring.mend_tree(options.settings(**told), reason)
    if as_json:
        outcome.show_json({"leaves": found.leaves, "nodes": found.nodes})
    elif found.leaves or found.nodes:
        show.line(f"Built again: {show.counted(found.leaves, 'leaf', 'leaves')}, {show.counted(found.nodes, 'node')}.")
    else:
        show.line("The tree is as it was built: nothing to mend.")


def _tell(found: RecordKeys, said: str, as_json: bool) -> None:
    from lockgate.wire.plain import to_json

    if as_json:
        outcome.show_json(to_json(found))
    else:
        show.line(said)


def _vouch(known: RecordKeys, signer: Signer, new: Any) -> str:
    from lockgate.domain.checkpoints import sign
    from lockgate.domain.keyring import vouching_text

    mine = _own(known, signer)
    if mine is None or mine.retired_at is not None:
        raise Conflict(
            "The key on this machine is not in use on the record, so it cannot vouch for another.",
            hint="Run this where a known one is (--url names the server). Which are: lockgate audit key show",
        )
    return str(sign(vouching_text(known.origin, new), known.origin, signer))


def _signer(home: str | None) -> Signer | None:
    from lockgate import wiring

    return wiring.record_keys(options.settings(home=home)).load()


def _required(home: str | None) -> Signer:
    found = _signer(home)
    if found is None:
        raise NotFound(
            "There is no key of the record on this machine.",
            hint="Run this where one is (--home DIR, or LOCKGATE_CHECKPOINT_KEY). See: lockgate audit key show",
        )
    return found


def _own(known: RecordKeys, signer: Signer | None) -> RecordKey | None:
    from lockgate.domain.checkpoints import PublicKey

    if signer is None or not known.origin:
        return None
    mine = PublicKey(known.origin, signer.key)
    return next((each for each in known.keys if each.public == str(mine)), None)


def _how(each: RecordKey) -> str:
    return f"vouched for by {each.vouched_by}" if each.vouched_by else each.arrival
