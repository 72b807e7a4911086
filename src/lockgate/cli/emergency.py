"""`lockgate break-glass`: setting the gates aside by two people, and the review by a third."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from lockgate.cli import approval_page, follow, moves, options, outcome, show
from lockgate.cli.defaulting import Defaulting
from lockgate.domain.errors import BadInput
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef

if TYPE_CHECKING:
    from lockgate.sdk.client import Lockgate
    from lockgate.wire.approvals import BreakGlass


@click.group("break-glass", cls=Defaulting, default="ask", short_help="Set the gates aside in an emergency.")
def break_glass() -> None:
    """Set the gates aside in an emergency: one person asks, a second confirms, and a third reviews it within 48 hours.

    What no emergency opens: who may do it, the digest of the files, how many versions a stage may hold, reserved tags.
    """


@break_glass.command(short_help="Ask for it, or confirm what another asked for.")
@click.argument("version", type=options.VERSION, metavar="[MODEL@VERSION]", required=False)
@click.option("--to", type=options.GATED_STAGE, help="Into which stage.")
@click.option("--reason", default="", help="Why it cannot wait; it stands on the record for ever.")
@click.option("--expires", type=options.DURATION, help="How long it holds: 1m to 24h.  [default: 1h]")
@click.option("--confirm", metavar="ID", help="As the second person: do it.")
@options.asks
def ask(
    version: VersionRef | None, to: Stage | None, reason: str, expires: timedelta | None, confirm: str | None,
    url: str | None, user: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Ask to set the gates aside for MODEL@VERSION on its way to a stage; with --confirm ID do what another asked."""
    client = options.caller(url, user).client()
    if confirm is not None:
        _confirm(client, confirm, version, to, as_json=as_json)
        return
    if version is None or to is None or not reason.strip():
        missing = "MODEL@VERSION" if version is None else "--to STAGE" if to is None else "--reason"
        raise BadInput(f"{missing} is missing.", hint="Say what is to be moved where, and why; or --confirm ID.")
    length = f"{int((expires or timedelta(hours=1)).total_seconds())}s"
    asked = client.break_glass.ask((version.model, version.version), reason, to.value, length)
    if as_json:
        _json(asked)
        return
    show.line(f"Asked to break the glass for {asked.ref} to {asked.stage}, as {asked.asked_by} ({asked.id}).")
    show.line(f"Until {show.when(asked.expires_at)} UTC a second person does it with:")
    show.line(f"  lockgate break-glass --confirm {asked.id}{show.another(asked.asked_by)}")


@break_glass.command(short_help="Write down what a look at it afterwards gave.")
@click.argument("id", metavar="ID")
@click.option("--comment", required=True, help="What you found.")
@options.asks
def review(id: str, comment: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Review a broken glass, as a person who neither asked for it nor confirmed it."""
    reviewed = options.caller(url, user).client().break_glass.review(id, comment)
    if as_json:
        _json(reviewed)
    else:
        show.line(f"Reviewed: {reviewed.id}, {reviewed.ref} to {reviewed.stage}.")


@break_glass.command("list", short_help="List when the glass was broken.")
@click.option("--model", type=options.MODEL, help="Of one model.")
@options.asks
def list_(model: str | None, url: str | None, user: str | None, as_json: bool) -> None:
    """List when gates were set aside or were asked to be, newest first, and what is still to be reviewed."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().break_glass.all(model)
    if as_json:
        outcome.show_json({"glasses": to_json(found)})
        return
    if not found:
        show.line("No glass was ever broken.")
        return
    rows = [(g.id, g.ref, g.stage, g.state, g.asked_by, g.confirmed_by, show.when(g.asked_at), g.reason) for g in found]
    show.table(("id", "version", "stage", "state", "asked by", "confirmed by", "asked at (UTC)", "reason"), rows)
    approval_page.tell_reviews(found)


def _confirm(client: Lockgate, id: str, version: VersionRef | None, to: Stage | None, *, as_json: bool) -> None:
    glass = client.break_glass.show(id)
    for told, meant in ((version, VersionRef(glass.model, glass.version)), (to, Stage.parse(glass.stage))):
        if told is not None and told != meant:
            raise BadInput(f"{id} is about {meant}, not about {told}.", hint="Leave it out: the id says it.")
    broken = client.break_glass.confirm(id)
    opened = broken.promotion
    if not as_json:
        show.line(f"The glass is broken: {glass.ref} to {glass.stage}, its gates are set aside.")
        show.line(f"A third person reviews it by {show.when(broken.glass.review_due)} UTC:")
        show.line(f"  lockgate break-glass review {id} --comment '…'")
    ended = follow.to_its_end(client, opened, follow.SHORT_WAIT, quiet=as_json, patient=True)
    moves.finish(client, ended, as_json=as_json)


def _json(found: BreakGlass) -> None:
    from lockgate.wire.plain import to_json

    outcome.show_json(to_json(found))
