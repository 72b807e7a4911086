"""`lockgate audit as-of`: what was in each stage on a day, what served then, who agreed to it and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockgate.wire import history as wire


def add_to(audit: click.Group) -> None:
    """Add the commands that look back to `lockgate audit`."""
    audit.add_command(as_of)
    audit.add_command(anchors)


@click.command(name="as-of", short_help="Show what was in each stage on a day, what served then, and why.")
@click.argument("date", metavar="DATE")
@click.option("--model", type=options.MODEL, help="Of this model alone: its name then, or its name now.")
@options.asks
def as_of(date: str, model: str | None, url: str | None, user: str | None, as_json: bool) -> None:
    """Show what was in Staging and Production at a moment, what served then, who agreed to it and why.

    DATE is 2026-03-01 (its first moment) or 2026-03-01T14:30, in UTC.
    """
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().history.as_of(date, model)
    if as_json:
        outcome.show_json(to_json(found))
        return
    show.line(f"As of {show.when(found.at)} UTC.")
    if not found.models:
        show.line("No version was in Staging or Production, and nothing served.")
    else:
        rows = [row for each in found.models for row in _rows(each)]
        show.table(("model", "version", "stage", "since (UTC)", "served in", "asked by", "agreed"), rows)
    for each in found.models:
        for told in _why(each):
            show.line(told)
    if found.removed:
        show.line("Entries of that time have no text any more, by the rule of retention: more may have served.")
    if found.adopted:
        began = show.when(found.began)
        show.line(f"The record began at {began} UTC, in a database of MLflow's: what was so before is unknown.")


def _rows(model: wire.ModelThen) -> Iterator[tuple[object, ...]]:
    served = {each.version: each.environment for each in model.serving if not each.vacant}
    for each in model.stages:
        behind = each.behind
        where = served.get(each.version)
        agreed = ", ".join(str(d.who) for d in behind.agreed) if behind else "unknown"
        asked = behind.promotion.asked_by if behind else "unknown"
        yield model.model, each.version, _stage(each), show.when(each.since), where, asked, agreed or "nobody"
    inside = {each.version for each in model.stages}
    for left in model.serving:
        if left.version not in inside:
            yield model.model, left.version, "(left it)", show.when(left.since), left.environment, None, None
    if not model.stages and not model.serving:
        yield model.model, None, "in no stage", None, None, None, None


def _stage(of: wire.InStage) -> str:
    return of.stage if of.primary is not False else f"{of.stage} (not the primary)"


def _why(model: wire.ModelThen) -> Iterator[str]:
    """Below the table: what each move went by."""
    if model.now:
        yield f"\n{model.model} is called {model.now} now."
    if model.deleted_at is not None:
        yield f"\n{model.model} was deleted at {show.when(model.deleted_at)} UTC."
    for each in model.stages:
        name = f"{model.model}@{each.version}"
        if each.behind is None:
            yield f"\n{name} in {each.stage}: {each.unknown}."
            continue
        yield f"\n{name} in {each.stage}: {_moved(each.behind)}"
        yield from _judged(each.behind)


def _moved(behind: wire.Behind) -> str:
    of = behind.promotion
    because = f", because: {of.reason}" if of.reason else ", without a reason"
    return f"{of.kind} {of.id}, asked for by {of.asked_by} at {show.when(of.asked_at)}{because}"


def _judged(behind: wire.Behind) -> Iterator[str]:
    of, policy = behind.promotion, behind.policy
    under = f"policy {show.short(of.policy_digest)}"
    if policy is not None:
        under += f" (applied by {policy.applied_by} at {show.when(policy.applied_at)})"
    if of.verdict is not None and of.verdict.gates:
        held = sum(gate.standing == "holds" for gate in of.verdict.gates)
        yield f"  {held} of {show.counted(len(of.verdict.gates), 'gate')} held under {under}"
        for gate in of.verdict.open:
            yield f"  {gate.name} {gate.standing} ({gate.level}): {gate.because}"
    else:
        yield f"  no gate was judged, under {under}"
    request = behind.request
    if request is None:
        yield "  nobody was asked to approve it"
        return
    asked = f"  {request.asked_by} asked for approval at {show.when(request.asked_at)}"
    yield f"{asked}: {request.reason}" if request.reason else asked
    for decision in request.decisions:
        said = "approved" if decision.approved else "rejected"
        said = f"{said}, and took it back," if decision.withdrawn_at is not None else said
        of_another = "" if decision.plan_digest == of.plan_digest else " (another plan than the one carried out)"
        comment = f": {decision.comment}" if decision.comment else ""
        yield f"  {decision.who} {said} at {show.when(decision.at)}{of_another}{comment}"


@click.command(short_help="Show where checkpoints are written to outside, and how that went.")
@options.asks
def anchors(url: str | None, user: str | None, as_json: bool) -> None:
    """Show the places outside that signed checkpoints are written to. Exits 1 when one of them cannot be written."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().history.anchors()
    failing = [each for each in found.anchors if each.failures]
    if as_json:
        outcome.show_json(to_json(found))
    elif not found.anchors:
        show.line("Checkpoints are written nowhere else. Who can write to the database could rewrite what is in it.")
        show.line("Name places when you start the controller: --anchors file:///…,git:///…,s3://…,webhook:")
    else:
        show.line(f"The newest checkpoint covers {show.counted(found.signed, 'entry', 'entries')}.")
        rows = [
            (a.place, a.size, show.when(a.anchored_at), f"failed {a.failures} times" if a.failures else "written")
            for a in found.anchors
        ]
        show.table(("place", "entries", "at (UTC)", "last attempt"), rows)
        for each in failing:
            show.line(f"{each.place}: {each.error}")
    if failing:
        raise outcome.Ends(outcome.REFUSED)
