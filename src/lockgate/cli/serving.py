"""`lockgate endpoints` and `lockgate rollout`: what is served where, and how it came to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.errors import Conflict

if TYPE_CHECKING:
    from lockgate.sdk.client import Lockgate
    from lockgate.wire.shapes import Promotion


@click.group(invoke_without_command=True, short_help="Show what is served where; retire what is not needed.")
@options.asks
@click.pass_context
def endpoints(context: click.Context, url: str | None, user: str | None, as_json: bool) -> None:
    """Show every endpoint: the model, the version it serves, its port, and whether what runs is what was committed."""
    if context.invoked_subcommand is not None:
        return
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().endpoints()
    if as_json:
        outcome.show_json({"endpoints": to_json(found)})
    elif not found:
        show.line("Nothing is served. An endpoint begins with a promotion: lockgate promote MODEL@VERSION --to staging")
    else:
        show.endpoints(found)


@endpoints.command(short_help="Stop an endpoint whose version left its stage.")
@click.argument("model", type=options.MODEL)
@click.option("--environment", required=True, help="staging, production, or one of the policy's.")
@options.asks
def retire(model: str, environment: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Stop an endpoint that is vacant: its version left the stage and nothing replaced it."""
    from lockgate.wire.plain import to_json

    ended = options.caller(url, user).client().retire(environment, model)
    if as_json:
        outcome.show_json(to_json(ended))
    else:
        show.line(f"Retired: {model} is no longer served in {environment}.")


@click.group(short_help="Show how versions took over an endpoint; abort one.")
def rollout() -> None:
    """How versions took over an endpoint."""


@rollout.command(short_help="Withdraw a model's open promotion before it is committed.")
@click.argument("model", type=options.MODEL)
@click.option("--promotion", "id", metavar="ID", help="Which one, where several are open.")
@options.asks
def abort(model: str, id: str | None, url: str | None, user: str | None, as_json: bool) -> None:
    """Withdraw a model's open promotion: one that waits, or whose version is being started.

    What serves goes on serving. Once it is committed it is too late: go back with lockgate rollback.
    """
    from lockgate.wire.plain import to_json

    client = options.caller(url, user).client()
    ended = client.cancel(id or _only_open(client, model).id)
    if as_json:
        outcome.show_json(to_json(ended))
    else:
        show.line(f"Aborted: the promotion of {ended.ref} to {ended.stage} ({ended.id}). What serves goes on serving.")


def _only_open(client: Lockgate, model: str) -> Promotion:
    found = [promotion for promotion in client.promotions(model) if not promotion.is_over]
    if not found:
        raise Conflict(f"No promotion of {model} is open.", hint=f"See what was: lockgate rollout status {model}")
    if len(found) > 1:
        told = ", ".join(f"{p.id} ({p.ref} to {p.stage}, {p.state})" for p in found)
        raise Conflict(f"Several promotions of {model} are open: {told}.", hint="Name one with --promotion ID.")
    return found[0]


@rollout.command(short_help="Show the rollouts of a model, the newest first.")
@click.argument("model", type=options.MODEL)
@options.asks
def status(model: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Show the rollouts of a model, the newest first.

    Exits 8 while one is going on, 1 when the last one failed, else 0.
    """
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().rollouts(model)
    if as_json:
        outcome.show_json({"rollouts": to_json(found)})
    elif not found:
        show.line(f"{model} has had no rollout.")
    else:
        rows = [
            (
                r.environment,
                r.from_version,
                r.to_version,
                r.state,
                show.when(r.started),
                show.when(r.ended),
                r.because,
                r.id,
            )
            for r in found
        ]
        show.table(("environment", "from", "to", "state", "began (UTC)", "ended (UTC)", "because", "promotion"), rows)
    if any(r.ended is None for r in found):
        raise outcome.Ends(outcome.WAITING)
    if found and found[0].state == "failed":
        raise outcome.Ends(outcome.REFUSED)
