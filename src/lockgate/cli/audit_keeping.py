"""`lockgate audit retention` and `hold`: for how long the texts of entries are kept, and of which models for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show

if TYPE_CHECKING:
    from lockgate.wire import keeping as wire


def add_to(audit: click.Group) -> None:
    """Add the commands to `lockgate audit`."""
    audit.add_command(retention)
    audit.add_command(hold)


@click.group(short_help="For how long the texts of entries are kept.")
def retention() -> None:
    """For how long the texts of entries are kept. Their hashes and places stay for ever."""


@retention.command(name="show", short_help="Show the rule, and what is held.")
@options.asks
def show_(url: str | None, user: str | None, as_json: bool) -> None:
    """Show for how long texts are kept, who said so, and which models are held."""
    _tell(options.caller(url, user).client().keeping.show(), as_json)


@retention.command(name="set", short_help="Keep texts for so long from now on.")
@click.argument("length", metavar="LENGTH")
@click.option("--reason", required=True, help="Why; it stays on the record.")
@options.asks
def set_(length: str, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Keep texts for LENGTH from now on: 7y, 400d or for-ever. What is older goes within hours.

    Only what a checkpoint in a place outside covers loses its text (`lockgate audit anchors`), and of no model that is
    held. It cannot be brought back: export the record first.
    """
    _tell(options.caller(url, user).client().keeping.set(length, reason), as_json)


@click.group(short_help="Models whose entries keep their texts for ever.")
def hold() -> None:
    """Models of whose entries nothing is removed, whatever the rule of retention says."""


@hold.command(name="list", short_help="Show what is held.")
@options.asks
def list_(url: str | None, user: str | None, as_json: bool) -> None:
    """Show which models are held, since when, and why."""
    _tell(options.caller(url, user).client().keeping.show(), as_json)


@hold.command(short_help="Let nothing of a model be removed.")
@click.argument("model", metavar="MODEL", type=options.MODEL)
@click.option("--reason", required=True, help="Why; it stays on the record.")
@options.asks
def add(model: str, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Let nothing of MODEL be removed until it is released. A model that was deleted can be held too."""
    _tell(options.caller(url, user).client().keeping.hold(model, reason), as_json)


@hold.command(short_help="End the hold of a model.")
@click.argument("model", metavar="MODEL", type=options.MODEL)
@click.option("--reason", required=True, help="Why; it stays on the record.")
@options.asks
def release(model: str, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """End the holds of MODEL: the rule of retention reaches it again."""
    _tell(options.caller(url, user).client().keeping.release(model, reason), as_json)


def _tell(kept: wire.Kept, as_json: bool) -> None:
    if as_json:
        from lockgate.wire.plain import to_json

        outcome.show_json(to_json(kept))
        return
    by = f", as {kept.set_by} set at {show.when(kept.set_at)} UTC: {kept.reason}" if kept.set_by is not None else ""
    show.line(f"The texts of entries are kept {_for(kept.length)}{by}.")
    if kept.length != "for ever" and not kept.anchored:
        show.line("Nothing is removed yet: no checkpoint lies in a place outside (lockgate audit anchors).")
    if kept.removed:
        show.line(f"{show.counted(kept.removed, 'entry', 'entries')} have no text any more; hash and place stay.")
    if kept.holds:
        rows = [(h.model, show.when(h.added_at), h.added_by, h.reason) for h in kept.holds]
        show.table(("model", "since (UTC)", "held by", "why"), rows)
    else:
        show.line("No model is held.")


def _for(length: str) -> str:
    return length if length == "for ever" else f"for {length}"
