"""`lockgate uninstall`: takes Lockgate out of a database, and leaves MLflow's tables as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lockgate.cli import in_use, options, outcome, show
from lockgate.cli.home import Home
from lockgate.domain.errors import BadInput, Conflict, NotFound

if TYPE_CHECKING:
    from lockgate.config import Settings
    from lockgate.usecases.doctor import Database


@click.command(short_help="Take Lockgate out of a database again.")
@options.home_option
@click.option("--database", metavar="URI", help="The database. [sqlite:///HOME/lockgate.db]")
@click.option("--dry-run", is_flag=True, help="Say what would be dropped, and change nothing.")
@click.option("--yes", is_flag=True, help="Don't ask. With --json it is needed.")
@options.as_json
def uninstall(dry_run: bool, yes: bool, as_json: bool, **told: Any) -> None:
    """Drop Lockgate's tables and its indexes on MLflow's tables. MLflow's rows stay as they are.

    The record, the approvals and the history of stages are lost with them. Refused while a process of Lockgate's is
    seen to use the database; one on another machine cannot always be seen.
    """
    from lockgate import wiring

    settings = options.settings(**told)
    found = wiring.inspect_database(settings)
    if not found.there:
        raise NotFound(f"There is no database at {found.address}.", hint="Name it with --database.")
    if not found.ours.tables and not found.ours.indexes:
        _nothing(found, as_json, dry_run=dry_run)
        return
    if not dry_run:
        _refuse_while_in_use(settings, found)
    if not as_json:
        _tell(found)
    if dry_run:
        _dry(found, as_json)
        return
    _agree(found, yes=yes, as_json=as_json)
    removed = wiring.remove_from_database(settings)
    if as_json:
        outcome.show_json(_plain(found, removed.tables, removed.indexes, dry_run=False))
        return
    show.line("")
    what = show.counted(len(removed.tables), "table")
    show.line(
        f"Dropped {what} and {show.counted(len(removed.indexes), 'index', 'indexes')}. MLflow's tables are untouched."
    )
    show.line(f"Stock MLflow goes on with: mlflow server --backend-store-uri {found.address}")


def _refuse_while_in_use(settings: Settings, found: Database) -> None:
    seen = in_use.users(Home(settings.home), settings.database, found)
    if seen:
        raise Conflict(
            f"Lockgate still runs on {found.address}: {'; '.join(seen)}.",
            hint=f"Stop it first: lockgate down --home {settings.home}, or end that server, controller or agent.",
        )


def _tell(found: Database) -> None:
    ours = found.ours
    show.line(found.address)
    show.line("")
    rows = [
        (f"{show.counted(len(ours.tables), 'table')} of Lockgate's", ", ".join(ours.tables)),
        (f"{show.counted(len(ours.indexes), 'index', 'indexes')} on MLflow's tables", ", ".join(ours.indexes)),
    ]
    show.table(("dropped", "which"), [row for row in rows if row[1]])
    show.line("")
    entries = show.counted(ours.entries, "entry", "entries")
    show.line(f"Lost for good: the record ({entries}), approvals, validations, the history of stages, pins, endpoints.")
    show.line("Stages, aliases and tags stay as MLflow's own columns say.")
    if found.drift:
        differ = show.counted(len(found.drift), "difference")
        show.line(f"{differ} between both are settled by it: MLflow's tables win. See: lockgate doctor")


def _dry(found: Database, as_json: bool) -> None:
    if as_json:
        outcome.show_json(_plain(found, found.ours.tables, found.ours.indexes, dry_run=True))
    else:
        show.line("")
        show.line("Nothing was changed: --dry-run.")


def _agree(found: Database, *, yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json:
        raise BadInput("Nothing was dropped: with --json nobody can be asked.", hint="Add --yes, or --dry-run.")
    show.line("Keep a copy of the record if you may need it: back the database up.")
    if not click.confirm("Drop them?", default=False):
        show.line(f"Nothing was changed in {found.address}.")
        raise outcome.Ends(outcome.REFUSED)


def _nothing(found: Database, as_json: bool, *, dry_run: bool) -> None:
    if as_json:
        outcome.show_json(_plain(found, (), (), dry_run=dry_run))
    else:
        show.line(f"Nothing of Lockgate's is in {found.address}.")


def _plain(found: Database, tables: tuple[str, ...], indexes: tuple[str, ...], *, dry_run: bool) -> dict[str, Any]:
    return {
        "address": found.address,
        "dry_run": dry_run,
        "tables": list(tables),
        "indexes": list(indexes),
        "entries": found.ours.entries,
    }
