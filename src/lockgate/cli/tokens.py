"""`lockgate tokens`: making one, which shows its secret this once, listing and revoking them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show
from lockgate.cli.users import NAME, ROLE, on
from lockgate.domain.access import Role
from lockgate.domain.errors import BadInput

if TYPE_CHECKING:
    from lockgate.wire.people import Token


@click.group(short_help="Make and revoke tokens, for programs and for yourself.")
def tokens() -> None:
    """Make and revoke tokens: secrets that stand for their person, with no more than their person may do."""


@tokens.command(short_help="Make a token; its secret is shown once.")
@click.option("--for", "person", type=NAME, metavar="NAME", help="For this service account. [yourself]")
@click.option("--label", default="", help="What it is for, so that you know it again.")
@click.option(
    "--role", "roles", type=ROLE, multiple=True, metavar="ROLE", help="Only this role; may be repeated. [all they have]"
)
@on
@click.option("--expires", type=options.DURATION, default="90d", show_default=True, help="How long it is good.")
@options.asks
def create(
    person: str | None,
    label: str,
    roles: tuple[Role, ...],
    pattern: str,
    expires: timedelta,
    url: str | None,
    user: str | None,
    as_json: bool,
) -> None:
    """Make a token for yourself, or with the role admin for a service account. Its secret is shown this once."""
    from lockgate.wire.plain import to_json

    client = options.caller(url, user).client()
    made = client.tokens.create(
        person or "", label=label, roles=[role.value for role in roles], pattern=pattern, expires_in=expires
    )
    if as_json:
        outcome.show_json(to_json(made))
        return
    token = made.token
    show.line(f"Token {token.id} of {token.person}: {_scope(token)}, good until {show.when(token.expires_at)} UTC.")
    show.line(made.secret)
    show.line("  The line above is the secret. It is shown this once; clients send it when it is in their environment:")
    show.line("  export MLFLOW_TRACKING_TOKEN=…")


@tokens.command(name="list", short_help="List tokens, without their secrets.")
@click.option("--of", "person", type=NAME, metavar="NAME", help="Those of this one. [your own]")
@click.option("--all", "everybody", is_flag=True, help="Those of everybody.")
@options.asks
def list_(person: str | None, everybody: bool, url: str | None, user: str | None, as_json: bool) -> None:
    """List tokens, newest first, with what they may do and when they were used. Secrets are kept nowhere."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().tokens.all(person, everybody=everybody)
    if as_json:
        outcome.show_json({"tokens": to_json(found)})
    elif not found:
        show.line("There is no token.")
        show.line("Make one: lockgate tokens create --label …")
    else:
        table(found)


@tokens.command(short_help="Let a token in no longer.")
@click.argument("ids", nargs=-1, metavar="[TOKEN…]")
@click.option("--of", "person", type=NAME, metavar="NAME", help="All tokens of this one.")
@click.option("--reason", default="", help="Why; it goes on the record.")
@options.asks
def revoke(
    ids: tuple[str, ...], person: str | None, reason: str, url: str | None, user: str | None, as_json: bool
) -> None:
    """Let tokens in no longer: by their ids, or all of one person."""
    from lockgate.wire.plain import to_json

    if bool(ids) == bool(person):
        raise BadInput("Which tokens?", hint="lockgate tokens revoke TOKEN…, or all of one: --of NAME")
    client = options.caller(url, user).client()
    if person:
        revoked = client.tokens.revoke_all(person, reason)
    else:
        revoked = tuple(client.tokens.revoke(id, reason) for id in ids)
    if as_json:
        outcome.show_json({"tokens": to_json(revoked)})
    elif not revoked:
        show.line(f"{person} has no token that was good still.")
    else:
        show.line(f"Revoked {show.counted(len(revoked), 'token')}: {', '.join(token.id for token in revoked)}.")


def table(found: Sequence[Token]) -> None:
    """Tokens on a line each."""
    rows = [(t.id, t.person, t.label, _scope(t), t.state, show.when(t.expires_at), show.when(t.used_at)) for t in found]
    show.table(("id", "person", "label", "may be", "state", "until (UTC)", "used (UTC)"), rows)


def _scope(token: Token) -> str:
    roles = ", ".join(token.roles)
    return roles if token.pattern == "*" else f"{roles} on {token.pattern}"
