"""`lockgate request`, `approvals`, `approve` and `reject`: one person asks, another one answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef

if TYPE_CHECKING:
    from lockgate.wire.shapes import ApprovalRequest

_to = click.option("--to", type=options.GATED_STAGE, default="production", show_default=True, help="Into which stage.")


@click.command(short_help="Ask for approval of a version.")
@click.argument("version", type=options.VERSION, metavar="MODEL@VERSION")
@click.option("--reason", required=True, help="Why it should be approved; the approvers read it.")
@_to
@options.asks
def request(version: VersionRef, reason: str, to: Stage, url: str | None, user: str | None, as_json: bool) -> None:
    """Ask for approval of moving a version into a stage. Somebody else has to give it."""
    asked = options.caller(url, user).client().request((version.model, version.version), reason, to.value)
    _tell(asked, as_json, f"Asked for approval of {version} for {to.value}, as {asked.asked_by}.")
    if not as_json:
        show.line(f"Somebody else answers with: lockgate approve {version} --comment '…' --as NAME")


@click.command(short_help="List the requests that nobody has answered.")
@options.asks
def approvals(url: str | None, user: str | None, as_json: bool) -> None:
    """List the requests for approval that nobody has answered yet, oldest first."""
    from lockgate.wire.plain import to_json

    pending = options.caller(url, user).client().approvals()
    if as_json:
        outcome.show_json({"approvals": to_json(pending)})
    elif not pending:
        show.line("No request for approval is pending.")
    else:
        rows = [(r.ref, r.stage, r.asked_by, show.when(r.asked_at), r.reason) for r in pending]
        show.table(("version", "stage", "asked by", "asked at (UTC)", "reason"), rows)
        first = pending[0]
        show.line(f"Look at the evidence: lockgate plan {first.ref} --to {first.stage.lower()}")
        show.line(f"Answer: lockgate approve {first.ref} --comment '…', or: lockgate reject {first.ref} --reason '…'")


@click.command(short_help="Approve a version, with a comment.")
@click.argument("version", type=options.VERSION, metavar="MODEL@VERSION")
@click.option("--comment", default="", help="What the record should say beside your yes.")
@_to
@options.asks
def approve(version: VersionRef, comment: str, to: Stage, url: str | None, user: str | None, as_json: bool) -> None:
    """Say yes to the pending request for a version. Your own request is somebody else's to approve."""
    answered = options.caller(url, user).client().approve((version.model, version.version), comment, to.value)
    _tell(answered, as_json, f"Approved: {version} for {to.value}.")
    if not as_json:
        show.line("A promotion that waits for it goes on by itself; begin one with:")
        show.line(f"  lockgate promote {version} --to {to.value.lower()}")


@click.command(short_help="Reject a version, with a reason.")
@click.argument("version", type=options.VERSION, metavar="MODEL@VERSION")
@click.option("--reason", required=True, help="Why not; the requester reads it.")
@_to
@options.asks
def reject(version: VersionRef, reason: str, to: Stage, url: str | None, user: str | None, as_json: bool) -> None:
    """Say no to the pending request for a version, and why."""
    answered = options.caller(url, user).client().reject((version.model, version.version), reason, to.value)
    _tell(answered, as_json, f"Rejected: {version} for {to.value}.")


def _tell(request: ApprovalRequest, as_json: bool, sentence: str) -> None:
    from lockgate.wire.plain import to_json

    if as_json:
        outcome.show_json(to_json(request))
    else:
        show.line(sentence)
