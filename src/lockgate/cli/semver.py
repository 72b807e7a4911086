"""`lockgate semver`: the semantic versions of a model, what changed from one to the next, and setting one by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.versions import VersionRef

if TYPE_CHECKING:
    from lockgate.wire.semver import Compared


@click.group(short_help="Show semantic versions and what changed, or set one.")
def semver() -> None:
    """The semantic version of each version, MAJOR.MINOR.PATCH, which follows from what changed in its signature."""


@semver.command("list", short_help="List the semantic versions of a model.")
@click.argument("model", type=options.MODEL)
@options.asks
def list_(model: str, url: str | None, user: str | None, as_json: bool) -> None:
    """List the semantic version of every version of a model, newest first, with the reason for each."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().semver.all(model)
    if as_json:
        outcome.show_json({"versions": to_json(found)})
    elif not found:
        show.line(f"{model} has no version yet.")
    else:
        rows = [(n.version, n.semantic_version, _origin(n.origin, str(n.who)), n.because) for n in found]
        show.table(("version", "semantic", "given by", "because"), rows)


@semver.command("show", short_help="Show a version's number, and what changed in its signature.")
@click.argument("version", type=options.VERSION, metavar="MODEL@VERSION")
@click.option("--against", type=click.IntRange(1), metavar="VERSION", help="Compare with this version of the model.")
@options.asks
def show_(version: VersionRef, against: int | None, url: str | None, user: str | None, as_json: bool) -> None:
    """Show the semantic version of a version, and what changed in its signature since the version before it."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().semver.of((version.model, version.version), against)
    if as_json:
        outcome.show_json(to_json(found))
    else:
        _tell(found)


@semver.command("set", short_help="Set a version's semantic version by hand.")
@click.argument("version", type=options.VERSION, metavar="MODEL@VERSION")
@click.argument("number", metavar="MAJOR.MINOR.PATCH")
@click.option("--reason", required=True, help="Why; it goes on the record.")
@options.asks
def set_(version: VersionRef, number: str, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Set the semantic version of a version: later than that of the version before it, earlier than the next one's."""
    from lockgate.wire.plain import to_json

    told = options.caller(url, user).client().semver.set((version.model, version.version), number, reason)
    if as_json:
        outcome.show_json(to_json(told))
    else:
        show.line(f"{told.ref} is {told.semantic_version}, as {told.who} said: {told.because}")


def _tell(found: Compared) -> None:
    told = found.numbered
    show.line(f"{told.ref}: {told.semantic_version or 'no semantic version yet'}. {told.because}")
    if found.against is None:
        return
    if found.changes is None:
        show.line(f"What changed since version {found.against} is not known: one of the signatures was not read.")
    elif not found.changes:
        show.line(f"Nothing changed in the signature since version {found.against}.")
    else:
        show.line(f"What changed in the signature since version {found.against}:")
        show.table(("size", "change"), [(change.size, change.told) for change in found.changes])


def _origin(origin: str, who: str) -> str | None:
    return {"signature": "its signature", "person": who, "tag": "a tag from before"}.get(origin)
