"""What the outside is told of: the names of events, who hears them, and what becomes of a delivery after an attempt.

An event of MLflow's is written with a dot (`model_version.created`), one of the record with a colon
(`version:transitioned`), as everywhere else.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from lockgate.domain.audit import Entry
from lockgate.domain.errors import BadInput

ALL = "*"
CHECKPOINT = "checkpoint:signed"
# every action the record knows: a subscription with a typing error would stay silent for ever
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "access": ("refused",),
    "alias": ("set", "deleted"),
    "approval": ("requested", "approved", "rejected", "refused", "withdrawn", "expired"),
    "breakglass": ("asked", "confirmed", "used", "reviewed", "overdue", "refused"),
    "check": ("reported",),
    "anchor": ("added", "failed", "restored"),
    "checkpoint": ("signed",),
    "database": ("made", "adopted"),
    "delegation": ("given", "ended"),
    "deployment": ("committed",),
    "drift": ("found", "ended", "mended", "accepted"),
    "endpoint": ("retired", "split", "split-removed", "token-created", "token-revoked"),
    "engines": ("requested", "measured", "error"),
    "hold": ("added", "released"),
    "key": ("added", "recovered", "retired"),
    "model": ("registered", "described", "tagged", "untagged", "renamed", "deleted"),
    "people": (
        *("added", "granted", "revoked", "disabled", "enabled"),
        *("password-reset", "password-changed", "recovered", "locked"),
    ),
    "policy": ("applied", "proposed", "approved", "rejected"),
    "promotion": ("requested", "joined", "done", "refused", "failed", "cancelled"),
    "prompt": ("registered", "version-registered"),
    "record": ("mended", "pruned", "retention-set"),
    "rollback": ("requested", "refused"),
    "rollout": ("started", "failed"),
    "router": ("called",),
    "token": ("created", "revoked"),
    "validation": ("requested", "passed", "failed", "error"),
    "version": (
        *("registered", "described", "tagged", "untagged", "deleted"),
        *("transitioned", "archived", "quarantined", "unquarantined", "pinned", "numbered", "renumbered"),
    ),
    "webhook": ("created", "updated", "deleted", "subscribed", "unsubscribed", "redelivered", "disabled"),
    "workspace": ("created", "updated", "deleted"),
}
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(hours=4)
LONGEST_TOLD = 500
GONE = 410


class DeliveryState(StrEnum):
    """Where a delivery stands: it waits for its next attempt, arrived, or was given up."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One of MLflow's webhooks: its own events, and the patterns of the record's actions it hears besides."""

    id: str
    name: str
    url: str
    active: bool
    events: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook. `id` is what the receiver sees, the same at every attempt."""

    id: str
    webhook: str
    event: str
    state: DeliveryState
    created_at: datetime
    due_at: datetime
    attempts: int = 0
    attempted_at: datetime | None = None
    delivered_at: datetime | None = None
    last_status: int | None = None
    last_error: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt came to: the status answered, else what went wrong. `final`: another one can't go better."""

    status: int | None = None
    error: str = ""
    answer: str = ""
    retry_after: timedelta | None = None
    final: bool = False

    @property
    def arrived(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver said that it wants nothing more, ever."""
        return self.status == GONE


@dataclass(frozen=True, slots=True)
class Persistence:
    """How long a delivery is tried: at most so often, and not once it is older than `give_up`."""

    attempts: int = 12
    give_up: timedelta = field(default=timedelta(hours=24))


def after(delivery: Delivery, attempt: Attempt, now: datetime, persistence: Persistence, chance: float) -> Delivery:
    """The delivery after an attempt: delivered, due again after a growing pause, or given up.

    `chance` in [0, 1) spreads the pauses, so that many deliveries that failed together do not come back together.
    """
    tried = replace(
        delivery,
        attempts=delivery.attempts + 1,
        attempted_at=now,
        last_status=attempt.status,
        last_error=shown(attempt.error),
        answer=shown(attempt.answer),
    )
    if attempt.arrived:
        return replace(tried, state=DeliveryState.DELIVERED, delivered_at=now)
    due = now + pause(tried.attempts, attempt.retry_after, chance)
    if attempt.final or attempt.gone or tried.attempts >= persistence.attempts:
        return replace(tried, state=DeliveryState.FAILED)
    if due - delivery.created_at > persistence.give_up:
        return replace(tried, state=DeliveryState.FAILED)
    return replace(tried, due_at=due)


def pause(attempts: int, retry_after: timedelta | None, chance: float) -> timedelta:
    """How long to wait after so many attempts: three times as long each time, and no less than the receiver asks."""
    grown = min(FIRST_PAUSE * int(3 ** min(attempts - 1, 12)), LONGEST_PAUSE)
    spread = grown * (0.75 + 0.5 * chance)
    return max(spread, min(retry_after or timedelta(), LONGEST_PAUSE))


def hears(patterns: Collection[str], event: str) -> bool:
    """Whether an event of that name is among them: by its name, by `subject:*`, or by `*` for the record's own."""
    if event in patterns:
        return True
    subject, colon, _ = event.partition(":")
    return bool(colon) and (ALL in patterns or f"{subject}:{ALL}" in patterns)


def parse_subscription(written: str) -> str:
    """A pattern of the record's actions: `version:transitioned`, `promotion:*` or `*`. Raises BadInput."""
    if written == ALL:
        return written
    subject, _, deed = written.partition(":")
    deeds = ACTIONS.get(subject, ())
    if deed in deeds or (deeds and deed == ALL):
        return written
    names = [f"{each}:{one}" for each, ones in ACTIONS.items() for one in ones]
    near = difflib.get_close_matches(written.replace(".", ":"), names, 1)
    hint = "docs/reference/events.md lists them; promotion:* and * are patterns."
    if near:
        hint = f"Did you mean {near[0]}?"
    elif "." in written:
        hint = "MLflow's own events are chosen with MLflow's webhook API."
    raise BadInput(f"{written!r} is no event that Lockgate knows.", hint=hint)


def body_of(event: str, told: Mapping[str, Any], at: datetime, workspace: str | None = None) -> str:
    """The JSON a receiver gets: MLflow's envelope around an event's data. `workspace` only where they are switched on.

    For an action of the record `told` is its entry.
    """
    entity, separator, action = _split(event)
    # a checkpoint is told as it is: it is no entry of the record
    data = told if separator == "." or event == CHECKPOINT else _data_of(told)
    body = {"entity": entity, "action": action, "timestamp": at.isoformat(), "data": data}
    return json.dumps(body if workspace is None else {**body, "workspace": workspace})


def shown(text: str) -> str:
    """The beginning of a text from outside, as it can be stored and printed."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * LONGEST_TOLD]).strip()
    return plain if len(plain) <= LONGEST_TOLD else plain[: LONGEST_TOLD - 1] + "…"


def merged(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns once each, in order."""
    return tuple(sorted(set(patterns)))


def _split(event: str) -> tuple[str, str, str]:
    return event.partition(":") if ":" in event else event.partition(".")


def _data_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    told = Entry.from_plain(entry)
    return {
        "name": told.model,
        # text, as in all of MLflow's payloads
        "version": None if told.version is None else str(told.version),
        "from": told.before,
        "to": told.after,
        "why": told.why,
        "who": entry["who"],
        "detail": entry["detail"],
        "entry": {"chain": entry["chain"], "number": entry["number"], "at": entry["at"]},
    }
