"""`lockgate audit`: reading the record, and proving that nobody edited it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lockgate.cli import (
    audit_history,
    audit_keeping,
    audit_keys,
    audit_proofs,
    audit_report,
    audit_sample,
    audit_verify,
    options,
    outcome,
    show,
)

if TYPE_CHECKING:
    from lockgate.wire.shapes import AuditEntry


_LONGEST = 60


@click.group(short_help="Read the record of everything that happened; verify it.")
def audit() -> None:
    """The record of everything that happened."""


@audit.command(name="list", short_help="Show what happened, newest first.")
@click.option("--model", type=options.MODEL, help="Of this model alone.")
@click.option("--action", help="Of this action alone, for example promotion:done.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@options.asks
def list_(model: str | None, action: str | None, limit: int, url: str | None, user: str | None, as_json: bool) -> None:
    """Show what happened, newest first: when, who, what, about which version, from where to where, and why."""
    from lockgate.wire.plain import to_json

    entries = options.caller(url, user).client().audit(model, action, limit)
    if as_json:
        outcome.show_json({"entries": to_json(entries)})
    elif not entries:
        show.line("No entry matches.")
    else:
        rows = [(f"{e.chain}#{e.number}", show.when(e.at), e.who, e.action, _about(e), e.why) for e in entries]
        show.table(("entry", "at (UTC)", "who", "action", "about", "why"), rows)


@audit.command(short_help="Judge a verdict of the record again.")
@click.argument("entry")
@options.asks
def replay(entry: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Judge the verdict of an entry again, by the evidence and the policy of that day.

    ENTRY is as `audit list` names it, model:3#12. Exits 0 when it comes out the same, gate by gate, and 1 with the
    differences when it does not.
    """
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().policies.replay(entry)
    if as_json:
        outcome.show_json({**to_json(found), "agrees": found.agrees})
    elif found.agrees:
        show.line(f"{found.ref} to {found.stage} {found.now}, as it did: all {len(found.gates)} gates agree.")
        show.line(f"Evidence {show.short(found.evidence)}, policy {show.short(found.policy)}.")
    else:
        show.line(f"{found.ref} to {found.stage} does NOT come out the same ({found.then} then, {found.now} now):")
        for difference in found.differences:
            show.line(f"  {difference}")
    if not found.agrees:
        raise outcome.Ends(outcome.REFUSED)


def _about(entry: AuditEntry) -> str:
    ref = entry.model if entry.version is None else f"{entry.model}@{entry.version}"
    ref = ref or str(entry.detail.get("person", ""))
    moved = " → ".join(told for told in (_told(entry.before), _told(entry.after)) if told)
    return f"{ref}: {moved}" if ref and moved else ref or moved


def _told(value: Any) -> str:
    """What was so, on one line: its beginning where it is long."""
    if value in (None, ""):
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


audit_history.add_to(audit)
audit_verify.add_to(audit)
audit_proofs.add_to(audit)
audit_keys.add_to(audit)
audit_keeping.add_to(audit)
audit_report.add_to(audit)
audit_sample.add_to(audit)
