"""`lockgate users` and `lockgate whoami`: who can log in, what they were given, and their passwords."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from lockgate.cli import options, outcome, show
from lockgate.domain.access import EVERYWHERE, Role, model_pattern, person_name
from lockgate.domain.errors import BadInput

if TYPE_CHECKING:
    from lockgate.wire.people import Grant, User

# how the record tells a name that nobody checked: only the first user is added under one
UNVERIFIED = "(unverified)"

NAME = options.Written("NAME", person_name)
ROLE = options.Written("ROLE", Role.parse)
PATTERN = options.Written("PATTERN", model_pattern)

on = click.option(
    "--on", "pattern", type=PATTERN, default=EVERYWHERE, metavar="PATTERN",
    help="On the models of these names: fraud, or fraud-* in quotes. [all models]",
)  # fmt: skip
_reason = click.option("--reason", default="", help="Why; it goes on the record.")


@click.group(short_help="Say who can log in, and what they may do.")
def users() -> None:
    """Say who can log in, and what they may do.

    Roles: viewer, contributor, approver, operator, admin. docs/reference/roles.md says what each may do.
    """


@users.command(short_help="Add a person or a service account.")
@click.argument("name", type=NAME, metavar="NAME")
@click.option("--role", "roles", type=ROLE, multiple=True, metavar="ROLE", help="A role to give; may be repeated.")
@on
@click.option("--service", is_flag=True, help="A program, not a person: it has tokens and no password.")
@options.asks
def add(
    name: str, roles: tuple[Role, ...], pattern: str, service: bool, url: str | None, user: str | None, as_json: bool
) -> None:
    """Add a person, with a one-time password to hand over, or a service account.

    The first person becomes the administrator, and from then on everybody has to log in.
    """
    client = options.caller(url, user).client()
    grants = [(role.value, pattern) for role in roles]
    made = client.people.add(name, service=service, grants=grants)
    if as_json:
        _json(made)
        return
    show.line(f"{made.user.name} was added: {told(made.user.grants)}.")
    if service:
        show.line(f"Make a token for it: lockgate tokens create --for {shlex.quote(name)}")
    else:
        _hand_over(name, made.one_time_password)
    if made.user.created_by.endswith(UNVERIFIED):
        show.line("There are users now: from this moment on everybody logs in, at every server of this database.")
    if not made.user.grants:
        show.line(f"Without a role nothing is allowed: lockgate users grant {shlex.quote(name)} ROLE")


@users.command(name="list", short_help="List everybody with their roles.")
@options.asks
def list_(url: str | None, user: str | None, as_json: bool) -> None:
    """List everybody with their roles, disabled ones among them."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().people.all()
    if as_json:
        outcome.show_json({"users": to_json(found)})
    elif not found:
        show.line("There is nobody yet: everybody may do everything, under any name.")
        show.line("Add the first one, who becomes the administrator: lockgate users add NAME")
    else:
        rows = [(u.name, u.kind, _standing(u), told(u.grants), show.when(u.created_at)) for u in found]
        show.table(("name", "kind", "status", "roles", "since (UTC)"), rows)


@users.command(name="show", short_help="Show one of them, with their tokens.")
@click.argument("name", type=NAME, metavar="NAME")
@options.asks
def show_(name: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Show one of them: roles, standing, and the tokens that are good."""
    from lockgate.cli import tokens
    from lockgate.wire.plain import to_json

    client = options.caller(url, user).client()
    found = client.people.show(name)
    theirs = client.tokens.all(name)
    if as_json:
        outcome.show_json({"user": to_json(found), "tokens": to_json(theirs)})
        return
    show.line(f"{found.name}, a {_kind(found.kind)}, {_standing(found)}")
    show.line(f"  roles: {told(found.grants)}")
    show.line(f"  added: {show.when(found.created_at)} UTC by {found.created_by}")
    good = [token for token in theirs if token.state == "active"]
    if good:
        tokens.table(good)
    else:
        show.line("  no token that is good")


@users.command(short_help="Give somebody a role.")
@click.argument("name", type=NAME, metavar="NAME")
@click.argument("role", type=ROLE, metavar="ROLE")
@on
@options.asks
def grant(name: str, role: Role, pattern: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Give somebody a role, on all models or on those of a pattern."""
    _tell(options.caller(url, user).client().people.grant(name, role.value, pattern), as_json)


@users.command(short_help="Take a role away from somebody.")
@click.argument("name", type=NAME, metavar="NAME")
@click.argument("role", type=ROLE, metavar="ROLE")
@on
@options.asks
def revoke(name: str, role: Role, pattern: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Take a role away as it was given: with the same pattern."""
    _tell(options.caller(url, user).client().people.revoke(name, role.value, pattern), as_json)


@users.command(short_help="Let somebody in no longer.")
@click.argument("name", type=NAME, metavar="NAME")
@_reason
@options.asks
def disable(name: str, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Let somebody in no longer, by password or token. What they agreed to counts no longer; nothing is forgotten."""
    _tell(options.caller(url, user).client().people.disable(name, reason), as_json)


@users.command(short_help="Let somebody in again.")
@click.argument("name", type=NAME, metavar="NAME")
@_reason
@options.asks
def enable(name: str, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Let somebody in again, with all they had."""
    _tell(options.caller(url, user).client().people.enable(name, reason), as_json)


@users.command(short_help="Replace your own password, or give somebody a one-time one.")
@click.argument("name", type=NAME, metavar="[NAME]", required=False)
@_reason
@options.asks
def password(name: str | None, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Replace your own password; or give NAME a one-time one, which takes the role admin.

    Your own is asked for without being shown. Where there is no terminal, it is read from standard input: the old one
    and the new one, on a line each.
    """
    client = options.caller(url, user).client()
    if name is not None:
        reset = client.people.reset_password(name, reason)
        if as_json:
            _json(reset)
        else:
            show.line(f"{reset.user.name} has a one-time password; the old one is good no longer.")
            _hand_over(name, reset.one_time_password)
        return
    old, new = _ask_for_both()
    changed = client.people.change_password(old, new)
    if as_json:
        _json(changed)
    else:
        show.line(f"The password of {changed.name} is replaced. Set MLFLOW_TRACKING_PASSWORD to the new one.")


@users.command(short_help="Let an administrator in who has forgotten the password; on the server's machine.")
@click.argument("name", type=NAME, metavar="NAME")
@click.option("--reason", required=True, help="Why; it goes on the record.")
@options.home_option
@click.option("--database", metavar="URI", help="The database. [sqlite:///HOME/lockgate.db]")
@options.as_json
def recover(name: str, reason: str, as_json: bool, **told: Any) -> None:
    """Give an administrator a one-time password by the database itself, for whom nobody else can.

    It takes the right to open the database, and stands on the record. No server has to run.
    """
    from lockgate import wiring
    from lockgate.domain.identity import Who

    settings = options.settings(**told)
    one_time = wiring.recover_admin(settings, name, Who(settings.user, via="cli"), reason)
    if as_json:
        outcome.show_json({"name": name, "one_time_password": one_time})
    else:
        show.line(f"{name} has a one-time password; the old one is good no longer.")
        _hand_over(name, one_time)


@click.command(short_help="Show who the server takes you for, and what you may do.")
@options.asks
def whoami(url: str | None, user: str | None, as_json: bool) -> None:
    """Show who the server takes you for, and what you may do."""
    found = options.caller(url, user).client().whoami()
    if as_json:
        _json(found)
    elif not found.users:
        show.line(f"{found.name}, unverified: this server has no users, so everybody may do everything under any name.")
        show.line("Add the first one, who becomes the administrator: lockgate users add NAME")
    else:
        by = f" by the token {found.token}" if found.token else ""
        show.line(f"{found.name}, a {_kind(found.kind)}, logged in{by}")
        show.line(f"  roles: {told(found.grants)}")
        if not found.grants:
            show.line(f"  Without one nothing is allowed: lockgate users grant {shlex.quote(found.name)} ROLE")
        if found.must_change:
            show.line("  The password was given out once. Replace it before anything else: lockgate users password")


def _ask_for_both() -> tuple[str, str]:
    if sys.stdin.isatty():
        old = click.prompt("Old password", hide_input=True, err=True)
        return old, click.prompt("New password", hide_input=True, confirmation_prompt="The new one again", err=True)
    lines = sys.stdin.read().splitlines()
    if len(lines) != 2:
        raise BadInput(
            f"Standard input holds {show.counted(len(lines), 'line')}.",
            hint="Send the old password and the new one on a line each, or run it on a terminal.",
        )
    return lines[0], lines[1]


def _hand_over(name: str, one_time: str | None) -> None:
    """The secret, once: standard output is where it is asked for, and nothing else keeps it."""
    show.line(f"One-time password: {one_time}")
    show.line("  It is shown this once, and nothing else is allowed before it is replaced:")
    show.line(f"  export MLFLOW_TRACKING_USERNAME={shlex.quote(name)} MLFLOW_TRACKING_PASSWORD=…")
    show.line("  lockgate users password")


def _tell(user: User, as_json: bool) -> None:
    if as_json:
        _json(user)
    else:
        show.line(f"{user.name}, {_standing(user)}: {told(user.grants)}.")


def _json(shape: object) -> None:
    from lockgate.wire.plain import to_json

    outcome.show_json(to_json(shape))


def _standing(user: User) -> str:
    if not user.active:
        return "disabled"
    return "one-time password" if user.must_change else "active"


def _kind(kind: str) -> str:
    return "service account" if kind == "service" else "person"


def told(grants: Iterable[Grant]) -> str:
    """Roles in words."""
    return ", ".join(_given(each) for each in grants) or "no role"


def _given(grant: Grant) -> str:
    patterns = [pattern for pattern in (grant.pattern, grant.within) if pattern != EVERYWHERE]
    return f"{grant.role} on {' and '.join(patterns)}" if patterns else f"{grant.role} everywhere"
