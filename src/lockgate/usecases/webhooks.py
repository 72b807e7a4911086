"""Webhooks: which of MLflow's events a change is, what the record's actions are told to, and carrying a delivery out.

The functions named for a change are called in its transaction. MLflow's payloads are those its documentation names.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lockgate.domain.access import Act
from lockgate.domain.audit import Entry
from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput, Conflict, NotFound
from lockgate.domain.identity import LOCKGATE, Who
from lockgate.domain.versions import VersionRef
from lockgate.domain.webhooks import (
    Attempt,
    Delivery,
    DeliveryState,
    Persistence,
    Webhook,
    after,
    merged,
    parse_subscription,
)
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.ports import Ports, Work
from lockgate.usecases.webhook_ports import Deliveries, Outgoing, Sender

_PROMPT_TEXT = "mlflow.prompt.text"
# marks that MLflow keeps on prompts for itself, and leaves out of what it tells
_OF_PROMPTS = frozenset({"mlflow.prompt.is_prompt", "_mlflow_prompt_type"})


# --- which of MLflow's events a change is -----------------------------------------------------------------------------


def model_created(work: Work, model: str, tags: Mapping[str, str], description: str | None, at: datetime) -> None:
    """A model or a prompt was registered."""

    def told(prompt: bool) -> dict[str, Any]:
        kept = {key: value for key, value in tags.items() if not prompt or key not in _OF_PROMPTS}
        return {"name": model, "tags": kept, "description": description}

    _tell(work, model, ("registered_model.created", "prompt.created"), told, at)


def version_created(
    work: Work,
    model: str,
    version: int,
    tags: Mapping[str, str],
    *,
    source: str,
    run_id: str | None,
    description: str | None,
    at: datetime,
) -> None:
    """A version of a model or a prompt was registered."""

    def told(prompt: bool) -> dict[str, Any]:
        name = {"name": model, "version": str(version)}
        if prompt:
            kept = {key: value for key, value in tags.items() if key not in _OF_PROMPTS and key != _PROMPT_TEXT}
            return {**name, "template": tags.get(_PROMPT_TEXT), "tags": kept, "description": description or None}
        origin = {"source": source, "run_id": run_id or None}
        return {**name, **origin, "tags": dict(tags), "description": description or None}

    _tell(work, model, ("model_version.created", "prompt_version.created"), told, at)


def tagged(
    work: Work, model: str, version: int | None, key: str, value: str | None, at: datetime | None = None
) -> None:
    """A tag was set, or deleted with None. For a model's own tags MLflow has no event, for a prompt's it has."""
    deed = "deleted" if value is None else "set"
    of_version = f"model_version_tag.{deed}", f"prompt_version_tag.{deed}"
    data: dict[str, Any] = {"name": model}
    data |= {} if version is None else {"version": str(version)}
    data |= {"key": key} if value is None else {"key": key, "value": value}
    _tell(work, model, ("", f"prompt_tag.{deed}") if version is None else of_version, lambda _prompt: data, at)


def alias_moved(work: Work, model: str, alias: str, version: int | None, at: datetime | None = None) -> None:
    """An alias points at a version, or after None at nothing."""
    deed = "deleted" if version is None else "created"
    data: dict[str, Any] = {"name": model, "alias": alias}
    data |= {} if version is None else {"version": str(version)}
    _tell(work, model, (f"model_version_alias.{deed}", f"prompt_alias.{deed}"), lambda _prompt: data, at)


def alias_follows(work: Work, model: str, alias: str, version: int | None) -> None:
    """A protected alias is about to follow its stage; where it points there already, nothing is told."""
    if version is not None and work.webhooks.heard("model_version_alias.created"):
        found = work.catalog.version(VersionRef(model, version))
        if found is not None and alias in found.aliases:
            return
    alias_moved(work, model, alias, version)


def _tell(
    work: Work, model: str, names: tuple[str, str], told: Callable[[bool], Mapping[str, Any]], at: datetime | None
) -> None:
    # which of the two it is costs another look, and mostly nobody hears either
    if any(name and work.webhooks.heard(name) for name in names):
        prompt = work.catalog.is_prompt(model)
        if name := names[prompt]:
            work.webhooks.owe(name, told(prompt), at)


# --- what people ask for ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """A webhook, and how many deliveries it has still to get."""

    webhook: Webhook
    waiting: int


def listed(ports: Ports) -> Sequence[Listed]:
    """Every webhook, by name."""
    with ports.store.reading() as work:
        waiting = work.webhooks.waiting()
        return [Listed(each, waiting.get(each.id, 0)) for each in work.webhooks.all()]


def deliveries(ports: Ports, webhook: str, limit: int) -> Sequence[Delivery]:
    """The log of one webhook, newest first. Raises NotFound."""
    with ports.store.reading() as work:
        _known(work, webhook)
        return work.webhooks.deliveries(webhook, limit)


def subscribe(ports: Ports, webhook: str, patterns: Sequence[str], who: Who) -> Webhook:
    """Let a webhook hear these of the record's actions too. Raises NotFound, and BadInput for an unknown action."""
    wanted = {parse_subscription(pattern) for pattern in patterns}
    if not wanted:
        raise BadInput("No event was named.", hint="Name some, for example version:transitioned or promotion:*.")
    return _change(ports, webhook, who, "webhook:subscribed", lambda old: merged({*old, *wanted}), merged(wanted))


def unsubscribe(ports: Ports, webhook: str, patterns: Sequence[str], who: Who) -> Webhook:
    """Take patterns away as they were given, all of them when none is named. Raises NotFound."""
    with ports.store.reading() as work:
        here = _known(work, webhook).subscriptions
    if strangers := sorted(set(patterns) - set(here)):
        hint = f"It hears: {', '.join(here)}." if here else "It hears nothing but MLflow's own events."
        raise BadInput(f"The webhook has no subscription {', '.join(strangers)}.", hint=hint)
    gone = set(patterns) or set(here)
    return _change(ports, webhook, who, "webhook:unsubscribed", lambda old: merged(set(old) - gone), merged(gone))


def redeliver(ports: Ports, delivery: str, who: Who) -> Delivery:
    """Send a delivery once more, under its old id.

    Raises NotFound, Forbidden, and Conflict while it waits for an attempt.
    """
    now = ports.clock.now()
    with refusals_recorded(ports, who, "webhooks redeliver"), ports.store.writing(None) as work:
        authorise(work, who, Act.MANAGE_WEBHOOKS)
        found = work.webhooks.delivery(delivery)
        if found is None:
            raise NotFound(
                f"There is no delivery {delivery}.", hint="Old ones are forgotten. lockgate webhooks deliveries ID"
            )
        webhook = _known(work, found.webhook)
        if not webhook.active:
            raise Conflict(
                f"The webhook {webhook.name} is disabled: nothing is sent to it.", hint="Set it ACTIVE in MLflow first."
            )
        if found.state is DeliveryState.WAITING and found.due_at <= now:
            raise Conflict(f"The delivery {delivery} is about to be sent.", hint="Look again in a moment.")
        work.webhooks.redeliver(delivery, now)
        detail: dict[str, Plain] = {"webhook": found.webhook, "delivery": delivery, "event": found.event}
        was, is_now = found.state.value, DeliveryState.WAITING.value
        work.record.write(Entry("webhook:redelivered", who, now, "", None, was, is_now, detail=detail))
        after_it = work.webhooks.delivery(delivery)
        assert after_it is not None, "it was read in this transaction"
        return after_it


def _change(
    ports: Ports,
    webhook: str,
    who: Who,
    action: str,
    change: Callable[[Sequence[str]], tuple[str, ...]],
    told: Sequence[str],
) -> Webhook:
    with refusals_recorded(ports, who, action), ports.store.writing(None) as work:
        authorise(work, who, Act.MANAGE_WEBHOOKS)
        found = _known(work, webhook)
        subscriptions = change(found.subscriptions)
        if subscriptions != found.subscriptions:
            work.webhooks.subscribe(webhook, subscriptions)
            detail: dict[str, Plain] = {"webhook": webhook, "name": found.name, "events": list(told)}
            was, now = list(found.subscriptions), list(subscriptions)
            work.record.write(Entry(action, who, ports.clock.now(), "", None, was, now, detail=detail))
        return replace(found, subscriptions=subscriptions)


def _known(work: Work, webhook: str) -> Webhook:
    found = work.webhooks.get(webhook)
    if found is None:
        raise NotFound(
            f"Webhook with ID {webhook} not found.", hint="lockgate webhooks list shows them with their ids."
        )
    return found


# --- carrying out -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Post:
    """Carries deliveries out: the queue, the way to send, and how long it tries."""

    ports: Ports
    queue: Deliveries
    sender: Sender
    persistence: Persistence

    def carry(self, outgoing: Outgoing) -> Delivery:
        """One attempt, and what became of it. Raises LostClaim when another controller has taken it over meanwhile."""
        attempt = self._attempt(outgoing)
        now = self.ports.clock.now()
        chance = secrets.randbelow(1000) / 1000
        delivery = after(outgoing.delivery, attempt, now, self.persistence, chance)
        with self.ports.store.within(outgoing.claim.workspace), self.ports.store.writing(None) as work:
            self.queue.settle(work, outgoing.claim, delivery)
            if attempt.gone and outgoing.target is not None:
                self._disable(work, outgoing.delivery, now)
        return delivery

    def _attempt(self, outgoing: Outgoing) -> Attempt:
        if outgoing.target is None:
            return Attempt(error="the webhook was deleted", final=True)
        if not outgoing.target.active:
            return Attempt(error="the webhook is disabled", final=True)
        return self.sender.send(outgoing.target, outgoing.delivery.id, outgoing.body)

    def _disable(self, work: Work, delivery: Delivery, now: datetime) -> None:
        webhook = work.webhooks.get(delivery.webhook)
        if webhook is None or not webhook.active:
            return
        work.webhooks.disable(webhook.id)
        detail: dict[str, Plain] = {"webhook": webhook.id, "name": webhook.name, "delivery": delivery.id}
        why = "its receiver answered 410 Gone"
        work.record.write(
            Entry("webhook:disabled", LOCKGATE, now, before="ACTIVE", after="DISABLED", why=why, detail=detail)
        )
