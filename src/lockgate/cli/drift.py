"""`lockgate drift`: what was changed past Lockgate, and accepting what was deleted there."""

from __future__ import annotations

import click

from lockgate.cli import doctor_report, options, outcome, show
from lockgate.domain.errors import BadInput


@click.command(short_help="Show what was changed past Lockgate, and settle it.")
@click.argument("model", type=options.MODEL, required=False)
@click.option("--accept", is_flag=True, help="Let Lockgate's rows follow what was deleted past it in MODEL.")
@click.option("--reason", default="", help="Why it is accepted; it goes on the record.")
@options.asks
def drift(model: str | None, accept: bool, reason: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Show where MLflow's tables differ from what Lockgate holds: somebody wrote past it.

    A changed stage or alias is settled by promoting: to the stage Lockgate holds, which puts MLflow's tables right, or
    to the other one, through its gates. A deletion can only be accepted.
    """
    from lockgate.wire.plain import to_json

    client = options.caller(url, user).client()
    if accept and model is None:
        raise BadInput("Which model?", hint="lockgate drift MODEL --accept --reason …")
    found = client.accept_drift(model, reason) if accept and model is not None else client.drift(model)
    if as_json:
        outcome.show_json({"accepted": accept, "drift": to_json(found)})
    elif accept:
        show.line(f"Accepted {show.counted(len(found), 'deletion')}:")
        for each in found:
            show.line(f"  {each.because}")
    elif not found:
        show.line("MLflow's tables say what Lockgate holds: nothing was changed past it.")
    else:
        doctor_report.drift(found)
