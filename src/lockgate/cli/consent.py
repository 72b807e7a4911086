"""`lockgate request`, `approvals`, `approve`, `reject` and `withdraw`: one person asks, another one answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lockgate.cli import approval_page, options, outcome, plan_file, show
from lockgate.cli.defaulting import Defaulting
from lockgate.domain.errors import NotFound
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef

if TYPE_CHECKING:
    from lockgate.sdk.client import Lockgate
    from lockgate.wire.shapes import ApprovalRequest

_to = click.option("--to", type=options.GATED_STAGE, default="production", show_default=True, help="Into which stage.")
_maybe_to = click.option("--to", type=options.GATED_STAGE, help="Into which stage.  [default: production]")
_plan = click.option(
    "--plan", "plan", metavar="FILE|DIGEST", help="Only this plan: refused, saying what changed, once it is another."
)


@click.command(short_help="Ask for approval of a version.")
@click.argument("version", type=options.VERSION, metavar="MODEL@VERSION")
@click.option("--reason", required=True, help="Why it should be approved; the approvers read it.")
@_to
@options.asks
def request(version: VersionRef, reason: str, to: Stage, url: str | None, user: str | None, as_json: bool) -> None:
    """Ask for approval of moving a version into a stage. Somebody else has to give it."""
    asked = options.caller(url, user).client().request((version.model, version.version), reason, to.value)
    _tell(asked, as_json, f"Asked for approval of {version} for {to.value}, as {asked.asked_by} ({asked.id}).")
    if not as_json:
        show.line(f"Somebody else looks at it with: lockgate approvals show {asked.id}")
        show.line(f"and answers with: lockgate approve {version} --comment '…'{show.another(asked.asked_by)}")


@click.group(cls=Defaulting, default="list", short_help="List the requests that nobody has answered, or look at one.")
def approvals() -> None:
    """Requests for approval: `list` (the default) and `show`."""


@approvals.command("list", short_help="List the requests that nobody has answered.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many to show.")
@click.option("--after", metavar="ID", default="", help="Go on after this request.")
@options.asks
def list_(limit: int, after: str, url: str | None, user: str | None, as_json: bool) -> None:
    """List the requests for approval that nobody has answered yet, oldest first."""
    from lockgate.wire.plain import to_json

    client = options.caller(url, user).client()
    pending = client.approvals(limit, after)
    follows = pending[-1].id if len(pending) == limit else ""
    if as_json:
        outcome.show_json({"approvals": to_json(pending), "next": follows})
        return
    if not pending:
        show.line("No request for approval is pending.")
    else:
        refs = [show.numbered(r.ref, r.semantic_version) for r in pending]
        rows = [
            (r.id, ref, r.stage, r.asked_by, show.when(r.asked_at), r.reason)
            for r, ref in zip(pending, refs, strict=True)
        ]
        show.table(("id", "version", "stage", "asked by", "asked at (UTC)", "reason"), rows)
        first = pending[0]
        show.line(f"Look at the evidence: lockgate approvals show {first.id}")
        show.line(f"Answer: lockgate approve {first.ref} --comment '…', or: lockgate reject {first.ref} --reason '…'")
    if follows:
        show.line(f"There are more: lockgate approvals list --after {follows}")
    approval_page.tell_reviews(client.break_glass.all())


@approvals.command("show", short_help="Look at one request with its evidence.")
@click.argument("which", metavar="ID|MODEL@VERSION")
@_to
@options.asks
def show_(which: str, to: Stage, url: str | None, user: str | None, as_json: bool) -> None:
    """Show what an approver has to know: the version beside the one it would follow.

    Metrics and how they differ, what changed in the signature and the libraries, the tests of both, who trained it from
    what, who leaves, and what of the plan has changed since it was put up.
    """
    from lockgate.wire.plain import to_json

    client = options.caller(url, user).client()
    found = client.approval(_id_of(client, which, to))
    if as_json:
        outcome.show_json(to_json(found))
    else:
        approval_page.tell(found)


@click.command(short_help="Approve a version, with a comment.")
@click.argument("version", type=options.VERSION, metavar="[MODEL@VERSION]", required=False)
@click.option("--comment", default="", help="What the record should say beside your yes.")
@_plan
@_maybe_to
@options.asks
def approve(
    version: VersionRef | None, comment: str, plan: str | None, to: Stage | None,
    url: str | None, user: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Say yes to the pending request for a version. Your own request is somebody else's to approve.

    With --plan the yes is for that very plan and no other.
    """
    client = options.caller(url, user).client()
    told = plan_file.bound(client, version, to, plan, Stage.PRODUCTION)
    ref = told.ref
    answered = client.approve((ref.model, ref.version), comment, told.stage.value, plan=told.digest)
    if answered.state == "approved":
        _tell(answered, as_json, f"Approved: {ref} for {told.stage.value}.")
    else:
        _tell(answered, as_json, f"Your yes to {ref} for {told.stage.value} is on the record; it takes more than that.")
    if not as_json:
        if answered.state != "approved":
            show.line(f"Who else has to agree: lockgate approvals show {answered.id}")
        show.line("A promotion that waits for it goes on by itself; begin one with:")
        show.line(f"  lockgate promote {ref} --to {told.stage.value.lower()}")


@click.command(short_help="Reject a version, with a reason.")
@click.argument("version", type=options.VERSION, metavar="MODEL@VERSION")
@click.option("--reason", required=True, help="Why not; the requester reads it.")
@click.option("--archive", is_flag=True, help="Archive the version too.")
@_to
@options.asks
def reject(
    version: VersionRef, reason: str, archive: bool, to: Stage, url: str | None, user: str | None, as_json: bool
) -> None:
    """Say no to the pending request for a version, and why. With --archive the version is archived as well."""
    client = options.caller(url, user).client()
    answered = client.reject((version.model, version.version), reason, to.value, archive=archive)
    archived = " It is archived." if archive else ""
    _tell(answered, as_json, f"Rejected: {version} for {to.value}.{archived}")


@click.command(short_help="Take back your request, or your approval.")
@click.argument("version", type=options.VERSION, metavar="MODEL@VERSION")
@click.option("--reason", required=True, help="Why; it goes on the record.")
@click.option("--approval", is_flag=True, help="Your approval, where the request is yours too.")
@_to
@options.asks
def withdraw(
    version: VersionRef, reason: str, approval: bool, to: Stage, url: str | None, user: str | None, as_json: bool
) -> None:
    """Take back your own request, or the approval that you gave, before the version is moved."""
    client = options.caller(url, user).client()
    after = client.withdraw((version.model, version.version), reason, to.value, approval=approval)
    what = "the request" if after.state == "withdrawn" else "your approval"
    _tell(after, as_json, f"Withdrawn: {what} of {version} for {to.value}.")


def _id_of(client: Lockgate, which: str, to: Stage) -> str:
    """The id of a request that is named by itself, or by its version while it is pending."""
    if "@" not in which and "/" not in which:
        return which
    ref = VersionRef.parse(which)
    for asked in client.status(ref.model).pending:
        if (asked.version, asked.stage) == (ref.version, to.value):
            return asked.id
    raise NotFound(
        f"No request for {ref} to {to.value} is pending.", hint="lockgate approvals list shows those that are."
    )


def _tell(request: ApprovalRequest, as_json: bool, sentence: str) -> None:
    from lockgate.wire.plain import to_json

    if as_json:
        outcome.show_json(to_json(request))
    else:
        show.line(sentence)
