"""`lockgate policy proposals`, `approve` and `reject`: the second person behind a change of the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show

if TYPE_CHECKING:
    from lockgate.wire.approvals import Proposal


@click.command(short_help="List the policies that were proposed.")
@options.asks
def proposals(url: str | None, user: str | None, as_json: bool) -> None:
    """List the policies that administrators proposed, newest first, and what became of each."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().proposals.all()
    if as_json:
        outcome.show_json({"proposals": to_json(found)})
        return
    if not found:
        show.line("No policy was proposed. Propose one with: lockgate policy apply FILE")
        return
    rows = [
        (p.id, p.state, show.short(p.digest), p.proposed_by, show.when(p.proposed_at), p.decided_by, p.reason)
        for p in found
    ]
    show.table(("id", "state", "digest", "proposed by", "at (UTC)", "decided by", "reason"), rows)
    if found[0].state == "open":
        show.line(f"Read it with: lockgate policy proposal {found[0].id}")


@click.command(short_help="Show a proposed policy beside the one in force.")
@click.argument("id", metavar="ID")
@options.asks
def proposal(id: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Show what a proposed policy would change, line by line."""
    import difflib

    from lockgate.wire.plain import to_json

    client = options.caller(url, user).client()
    found = client.proposals.show(id)
    if as_json:
        outcome.show_json(to_json(found))
        return
    before = client.policy().text or ""
    show.line(f"{found.id} is {found.state}: proposed by {found.proposed_by}. {found.reason}".rstrip())
    for line in difflib.unified_diff(before.splitlines(), found.text.splitlines(), "in force", found.id, lineterm=""):
        show.line(line)
    if found.state == "open":
        show.line(f"Another administrator: lockgate policy approve {id}, or: lockgate policy reject {id} --reason '…'")


@click.command(short_help="Put a proposed policy in force, as the second administrator.")
@click.argument("id", metavar="ID")
@click.option("--comment", default="", help="What the record should say beside your yes.")
@options.asks
def approve(id: str, comment: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Put a policy in force that another administrator proposed."""
    decided = options.caller(url, user).client().proposals.approve(id, comment)
    _tell(decided, as_json, f"In force: {show.short(decided.digest)}, proposed by {decided.proposed_by}.")


@click.command(short_help="Turn a proposed policy down.")
@click.argument("id", metavar="ID")
@click.option("--reason", required=True, help="Why not.")
@options.asks
def reject(id: str, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Turn a proposed policy down, or take your own back."""
    decided = options.caller(url, user).client().proposals.reject(id, reason)
    _tell(decided, as_json, f"Turned down: {decided.id}, proposed by {decided.proposed_by}.")


COMMANDS = (proposals, proposal, approve, reject)


def _tell(found: Proposal, as_json: bool, sentence: str) -> None:
    from lockgate.wire.plain import to_json

    if as_json:
        outcome.show_json(to_json(found))
    else:
        show.line(sentence)
