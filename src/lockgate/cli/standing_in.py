"""`lockgate delegate`: letting somebody answer in one's place for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show
from lockgate.cli.defaulting import Defaulting
from lockgate.domain.access import person_name
from lockgate.domain.durations import parse_duration
from lockgate.domain.errors import BadInput

if TYPE_CHECKING:
    from lockgate.wire.approvals import Delegation


def _read_end(written: str) -> datetime:
    """A day (its end), a moment, or a length of time from now."""
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        try:
            return datetime.now(UTC) + parse_duration(written)
        except BadInput:
            raise BadInput(
                f"{written!r} is no date, and no length of time.",
                hint="Write it as 2026-08-31, 2026-08-31T18:00, or 14d.",
            ) from None
    if len(written) == len("2026-08-31"):
        found += timedelta(days=1)  # to the end of that day
    return found if found.tzinfo else found.replace(tzinfo=UTC)


NAME = options.Written("NAME", person_name)
END = options.Written("DATE", _read_end)


@click.group(cls=Defaulting, default="to", short_help="Let somebody approve in your place for a while.")
def delegate() -> None:
    """Let somebody approve and reject in your place for a while: `lockgate delegate NAME --until DATE --reason …`.

    Only your own role of an approver can be delegated, and it cannot be passed on. Both names are on the record.
    """


@delegate.command(short_help="Let NAME answer in your place.")
@click.argument("name", type=NAME, metavar="NAME")
@click.option(
    "--until", type=END, required=True, help="The last day (in UTC), a moment, or a length: 14d. At most 90d."
)
@click.option("--reason", required=True, help="Why; it goes on the record.")
@options.asks
def to(name: str, until: datetime, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Let NAME answer requests for approval in your place until then."""
    given = options.caller(url, user).client().delegations.give(name, until, reason)
    _tell(given, as_json, f"{given.to} may answer in your place until {show.when(given.until)} UTC ({given.id}).")


@delegate.command("list", short_help="List who stands in for whom.")
@options.asks
def list_(url: str | None, user: str | None, as_json: bool) -> None:
    """List who may answer in whose place, newest first, and what is over."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().delegations.all()
    if as_json:
        outcome.show_json({"delegations": to_json(found)})
    elif not found:
        show.line("Nobody stands in for anybody.")
    else:
        rows = [(d.id, d.giver, d.to, "now" if d.holds else "over", show.when(d.until), d.reason) for d in found]
        show.table(("id", "for", "stands in", "state", "until (UTC)", "reason"), rows)


@delegate.command(short_help="End a delegation before its time.")
@click.argument("id", metavar="ID")
@click.option("--reason", default="", help="Why; it goes on the record.")
@options.asks
def end(id: str, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """End a delegation: whoever gave it, whoever has it, or an administrator. What was answered by it stands."""
    ended = options.caller(url, user).client().delegations.end(id, reason)
    _tell(ended, as_json, f"{ended.to} stands in for {ended.giver} no longer.")


def _tell(found: Delegation, as_json: bool, sentence: str) -> None:
    from lockgate.wire.plain import to_json

    if as_json:
        outcome.show_json(to_json(found))
    else:
        show.line(sentence)
