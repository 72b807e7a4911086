"""`lockgate predictions`: what a model was asked, what it answered, and what turned out to be right."""

from __future__ import annotations

import click

from lockgate.cli import options, outcome, show

_SHOWN = 60  # characters of an input or output in the table: --json has all of it


@click.command(short_help="Show logged predictions with their labels.")
@click.argument("model", type=options.MODEL)
@click.option("--environment", default="production", show_default=True, help="Where they were made.")
@click.option("--day", help="A day in UTC, such as 2026-11-23; today if none is told.")
@click.option("--request", "request_id", default="", metavar="ID", help="Only the one of this X-Request-Id.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many at most.")
@click.option("--after", default="", metavar="AFTER", help="Go on where a page ended.")
@options.asks
def predictions(
    model: str,
    environment: str,
    day: str | None,
    request_id: str,
    limit: int,
    after: str,
    url: str | None,
    user: str | None,
    as_json: bool,
) -> None:
    """Show what a model was asked on a day, what it answered and the labels that came for it, the newest first.

    The policy says which share is logged: endpoints: {MODEL: {log_predictions: 0.1}}.
    """
    from lockgate.wire.plain import to_json

    page = (
        options.caller(url, user)
        .client()
        .predictions.page(model, environment, day=day, limit=limit, after=after, request_id=request_id)
    )
    if as_json:
        outcome.show_json(to_json(page))
        return
    if not page.predictions:
        show.line(
            f"No prediction of {model} in {environment} was logged on {page.day} (UTC). "
            "The policy says which share is: endpoints: {MODEL: {log_predictions: 0.1}}"
        )
        return
    rows = [
        (
            show.when(each.time),
            each.request_id,
            str(each.version),
            str(each.status),
            _short(each.input),
            _short(each.output),
            "; ".join(f"{label.label}" + ("" if label.row is None else f" (row {label.row})") for label in each.labels),
        )
        for each in page.predictions
    ]
    show.table(("time (UTC)", "request", "version", "status", "input", "output", "labels"), rows)
    if page.after:
        show.line(f"There are more: --after '{page.after}'")


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else plain[: _SHOWN - 1] + "…"
