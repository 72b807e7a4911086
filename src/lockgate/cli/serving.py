"""`lockgate endpoints` and `lockgate rollout`: what is served where, and how it came to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show
from lockgate.cli.splits import in_one_line, split
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

    client = options.caller(url, user).client()
    found = client.endpoints()
    if as_json:
        outcome.show_json({"endpoints": to_json(found)})
    elif not found:
        show.line("Nothing is served. An endpoint begins with a promotion: lockgate promote MODEL@VERSION --to staging")
    else:
        show.endpoints(found)
        for divided in client.splits.list():
            show.line(in_one_line(divided))


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


endpoints.add_command(split)


@endpoints.group(short_help="Say who may ask an endpoint: create, list and revoke its tokens.")
def token() -> None:
    """Say who may ask an endpoint for predictions.

    From its first token on an endpoint takes no request without one. Where other machines reach it, it never does.
    """


_environment = click.option("--environment", required=True, help="staging, production, or one of the policy's.")


@token.command(short_help="Make a token; its secret is shown once.")
@click.argument("model", type=options.MODEL)
@_environment
@click.option("--label", default="", help="Who will use it: it is shown in the list.")
@options.asks
def create(model: str, environment: str, label: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Make a token for a model in an environment. Its secret is shown this once, and kept nowhere."""
    from lockgate.wire.plain import to_json

    made = options.caller(url, user).client().endpoint_tokens.create(model, environment, label)
    if as_json:
        outcome.show_json(to_json(made))
        return
    show.line(f"Token {made.token.id} lets its bearer ask {model} in {environment}. Its secret, shown this once:")
    show.line(f"  {made.secret}")
    show.line(f"Send it as: Authorization: Bearer {made.secret[:4]}…")


@token.command("list", short_help="Show the tokens of endpoints, without their secrets.")
@click.argument("model", type=options.MODEL, required=False)
@click.option("--environment", help="Of this environment alone.")
@options.asks
def list_tokens(model: str | None, environment: str | None, url: str | None, user: str | None, as_json: bool) -> None:
    """Show the tokens of one model's endpoints, or of all, newest first."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().endpoint_tokens.list(model, environment)
    if as_json:
        outcome.show_json({"tokens": to_json(found)})
    elif not found:
        show.line("There are none. Make one with: lockgate endpoints token create MODEL --environment ENVIRONMENT")
    else:
        rows = [
            (t.id, t.model, t.environment, t.label, show.when(t.created_at), t.created_by, show.when(t.revoked_at))
            for t in found
        ]
        show.table(("token", "model", "environment", "label", "made (UTC)", "by", "revoked (UTC)"), rows)


@token.command(short_help="Let a token in no longer.")
@click.argument("id", metavar="TOKEN")
@click.option("--reason", default="", help="Why; it goes on the record.")
@options.asks
def revoke(id: str, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Let a token in no longer. Workers know it within a second."""
    from lockgate.wire.plain import to_json

    gone = options.caller(url, user).client().endpoint_tokens.revoke(id, reason)
    if as_json:
        outcome.show_json(to_json(gone))
    else:
        show.line(f"Revoked: {gone.id} asks {gone.model} in {gone.environment} no longer.")


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
                f"{r.state} (break-glass)" if r.kind == "break-glass" else r.state,
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
