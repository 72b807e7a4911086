"""`lockgate down`: stop what runs for a home, also what an `up` that was killed has left."""

from __future__ import annotations

from typing import Any

import click

from lockgate.cli import leftovers, options, outcome


@click.command(short_help="Stop everything that `up` started.")
@options.home_option
@options.as_json
def down(home: str | None, as_json: bool) -> None:
    """Stop everything that `lockgate up` started for this home, its endpoints too.

    When nothing runs it says so and succeeds.
    """
    place = options.home_folder(home)
    told: dict[str, Any] = {"home": str(place.path), "stopped": []}
    if place.run.is_dir():
        stopped = leftovers.end_up(place)
        if stopped is not None:
            told["stopped"].append("up")
        told["stopped"] += leftovers.end_processes(place, lambda _event, _text: None)
        count = leftovers.end_workers(place)
        if count:
            told["stopped"].append("workers")
    if as_json:
        outcome.show_json(told)
    elif not told["stopped"]:
        click.echo(f"Nothing runs for {place.path}.")
    elif told["stopped"] == ["up"]:
        click.echo(f"Stopped Lockgate for {place.path}.")
    else:
        click.echo(f"Stopped what was left of Lockgate for {place.path}: {', '.join(told['stopped'])}.")
