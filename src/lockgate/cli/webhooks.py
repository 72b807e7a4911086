"""`lockgate webhooks`: what was delivered and what was not, sending it again, and hearing more than MLflow tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from lockgate.cli import options, outcome, show

if TYPE_CHECKING:
    from lockgate.wire.webhooks import Delivery, Webhook

_MAKE = "Webhooks are made with MLflow's own API: MlflowClient().create_webhook(…)"


@click.group(short_help="Follow webhooks: what was delivered, what was not, and why.")
def webhooks() -> None:
    """Follow MLflow's webhooks: what was delivered, what was not and why. Making them is MLflow's API."""


@webhooks.command(name="list", short_help="List the webhooks and what they hear.")
@options.asks
def list_(url: str | None, user: str | None, as_json: bool) -> None:
    """List MLflow's webhooks with what they hear and how many deliveries wait for each."""
    from lockgate.wire.plain import to_json

    found = options.caller(url, user).client().webhooks()
    if as_json:
        outcome.show_json({"webhooks": to_json(found)})
    elif not found:
        show.line("There is no webhook.")
        show.line(_MAKE)
    else:
        rows = [(w.name, w.id, "active" if w.active else "disabled", w.waiting, w.url) for w in found]
        show.table(("name", "id", "status", "waiting", "url"), rows)
        show.line("")
        for webhook in found:
            show.line(f"{webhook.name} hears: {_heard(webhook)}")


@webhooks.command(short_help="Show what was sent to a webhook, newest first.")
@click.argument("webhook", metavar="WEBHOOK")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@options.asks
def deliveries(webhook: str, limit: int, url: str | None, user: str | None, as_json: bool) -> None:
    """Show what was sent to a webhook (its id or its name), newest first: with attempts, status and what went wrong."""
    from lockgate.wire.plain import to_json

    client = options.caller(url, user).client()
    found = client.deliveries(_id_of(client.webhooks(), webhook), limit)
    if as_json:
        outcome.show_json({"deliveries": to_json(found)})
    elif not found:
        show.line("Nothing was sent to it yet.")
    else:
        rows = [(show.when(d.created_at), d.event, d.state, d.attempts, d.id) for d in found]
        show.table(("at (UTC)", "event", "state", "tries", "delivery"), rows)
        _tell_troubles(found)
        waiting = next((d for d in found if d.state == "waiting" and d.attempts), None)
        if waiting is not None:
            show.line(f"The next attempt of {waiting.id} is at {show.when(waiting.due_at)}.")
        failed = next((d for d in found if d.state == "failed"), None)
        if failed is not None:
            show.line(f"Send one again: lockgate webhooks redeliver {failed.id}")


@webhooks.command(short_help="Send a delivery once more.")
@click.argument("delivery", metavar="DELIVERY")
@options.asks
def redeliver(delivery: str, url: str | None, user: str | None, as_json: bool) -> None:
    """Send a delivery once more, under the id it had: a receiver that has dealt with it knows it again."""
    from lockgate.wire.plain import to_json

    again = options.caller(url, user).client().redeliver(delivery)
    if as_json:
        outcome.show_json(to_json(again))
    else:
        show.line(f"{again.event} is sent again. Follow it: lockgate webhooks deliveries {again.webhook}")


@webhooks.command(short_help="Let a webhook hear actions of the record too.")
@click.argument("webhook", metavar="WEBHOOK")
@click.argument("events", nargs=-1, required=True, metavar="ACTION…")
@options.asks
def subscribe(webhook: str, events: tuple[str, ...], url: str | None, user: str | None, as_json: bool) -> None:
    """Let a webhook hear actions of the record besides MLflow's events: `version:transitioned`, `promotion:*`, `*`."""
    client = options.caller(url, user).client()
    _tell(client.subscribe(_id_of(client.webhooks(), webhook), events), as_json)


@webhooks.command(short_help="Take such actions away again.")
@click.argument("webhook", metavar="WEBHOOK")
@click.argument("events", nargs=-1, metavar="[ACTION…]")
@options.asks
def unsubscribe(webhook: str, events: tuple[str, ...], url: str | None, user: str | None, as_json: bool) -> None:
    """Take actions away again as they were given; all of them when none is named. MLflow's own events stay."""
    client = options.caller(url, user).client()
    _tell(client.unsubscribe(_id_of(client.webhooks(), webhook), events), as_json)


def _tell_troubles(found: Sequence[Delivery]) -> None:
    """What went wrong, once for all deliveries it happened to."""
    troubles: dict[str, list[Delivery]] = {}
    for each in found:
        if each.last_error:
            troubles.setdefault(each.last_error, []).append(each)
    if troubles:
        show.line("\nWhat went wrong at the last attempt:")
    for trouble, hit in troubles.items():
        times = "" if len(hit) == 1 else f", and of {len(hit) - 1} before it"
        said = f" Its answer began: {hit[0].answer}" if hit[0].answer else ""
        show.line(f"  of {hit[0].id}{times}: {trouble}.{said}")


def _tell(changed: Webhook, as_json: bool) -> None:
    from lockgate.wire.plain import to_json

    if as_json:
        outcome.show_json(to_json(changed))
    else:
        show.line(f"{changed.name} hears: {_heard(changed)}")


def _heard(webhook: Webhook) -> str:
    return ", ".join((*webhook.events, *webhook.subscriptions))


def _id_of(known: tuple[Webhook, ...], written: str) -> str:
    """The id of the webhook written so: by its id, or by its name where one alone bears it."""
    named = [each.id for each in known if each.name == written]
    return named[0] if len(named) == 1 and all(each.id != written for each in known) else written
