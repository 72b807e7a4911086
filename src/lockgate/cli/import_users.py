"""`lockgate users import`: people and what they may do, from MLflow's basic authentication or from a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show
from lockgate.cli.users import ROLE, told
from lockgate.domain.access import Grant, Role
from lockgate.domain.errors import BadInput

if TYPE_CHECKING:
    from lockgate.domain.newcomers import Newcomer
    from lockgate.wire import people as wire

ADMIN = Grant(Role.ADMIN)
_SQLITE = b"SQLite format 3\x00"


@click.command(name="import", short_help="Bring people from MLflow's basic authentication, or from a table.")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--everyone", type=ROLE, metavar="ROLE",
    help="What all who come from MLflow are on all models, as its default_permission said. [no role]",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Change nothing: show what would become of each.")
@options.asks
def import_(
    source: str, everyone: Role | None, dry_run: bool, url: str | None, user: str | None, as_json: bool
) -> None:
    """Bring people from SOURCE: the database of MLflow's basic authentication (its file, or sqlite:///…,
    postgresql://…), or a CSV file with lines of name,role,pattern,kind.

    Whoever is new is added, whoever is here is given what they lack; nothing is taken away. If one cannot be brought,
    nobody is. Passwords from MLflow stay good; whoever has none gets a one-time password.
    """
    from lockgate.wire.plain import to_json

    # where nobody is yet, whoever shall manage the others comes first
    newcomers = sorted(_read(source, everyone), key=lambda each: ADMIN not in each.grants)
    if not newcomers:
        raise BadInput(f"There is nobody in {source}.", hint="Look at it: is it the right one?")
    client = options.caller(url, user).client()
    asked, name = [_shape(each) for each in newcomers], _without_secrets(source)
    # one that cannot be brought may come last: nobody is brought before all were looked at
    outcomes = client.people.bring(asked, name, try_only=True)
    refused = any(each.outcome == "refused" for each in outcomes)
    if not dry_run and not refused:
        outcomes = client.people.bring(asked, name)
    if as_json:
        notes = {each.name: list(each.notes) for each in newcomers if each.notes}
        outcome.show_json({"dry_run": dry_run or refused, "outcomes": to_json(outcomes), "notes": notes})
    else:
        _show(outcomes, newcomers, changed=not dry_run and not refused)
    if refused:
        raise outcome.Ends(outcome.REFUSED)


def _read(source: str, everyone: Role | None) -> Sequence[Newcomer]:
    from lockgate.domain import newcomers

    if "://" in source or _is_database(source):
        from lockgate import wiring

        found = wiring.read_mlflow_users(source if "://" in source else f"sqlite:///{Path(source).absolute()}")
        return [newcomers.from_mlflow(each, everyone) for each in found]
    if everyone is not None:
        raise BadInput("--everyone is for what comes from MLflow.", hint="A table says itself who has which role.")
    try:
        return newcomers.from_csv(Path(source).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{source} cannot be read: {error}.", hint="Name a CSV file, or a database.") from None


def _is_database(source: str) -> bool:
    try:
        with Path(source).open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def _shape(newcomer: Newcomer) -> wire.Newcomer:
    from lockgate.wire import people as wire

    grants = tuple(wire.Grant(each.role.value, each.pattern) for each in newcomer.grants)
    return wire.Newcomer(newcomer.name, grants, newcomer.kind, newcomer.password)


def _show(outcomes: Sequence[wire.Outcome], newcomers: Sequence[Newcomer], *, changed: bool) -> None:
    rows = [(each.name, each.outcome, told(each.grants) if each.grants else None, each.because) for each in outcomes]
    show.table(("name", "answer", "roles", "because"), rows)
    notes = [(each.name, note) for each in newcomers for note in each.notes]
    if notes:
        show.line("\nWhat has no like here:")
        for name, note in notes:
            show.line(f"  {name} {note}")
    secrets = [(each.name, each.one_time_password) for each in outcomes if each.one_time_password]
    if secrets:
        show.line("\nOne-time passwords, shown this once; each is replaced at the first login:")
        for name, secret in secrets:
            show.line(f"  {name}: {secret}")
    if not changed:
        show.line("\nNothing was changed.")


def _without_secrets(source: str) -> str:
    """The source as it may stand on the record: without the password of a database's address."""
    before, at, after = source.rpartition("@")
    scheme, slashes, _ = before.partition("://")
    return f"{scheme}://…@{after}" if at and slashes else source
