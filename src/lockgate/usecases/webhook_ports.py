"""What webhooks need of the outside: who listens and what is owed, the queue of deliveries, and a way to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from lockgate.domain.promotion import Claim
from lockgate.domain.webhooks import Attempt, Delivery, Webhook

if TYPE_CHECKING:
    from lockgate.usecases.ports import Work


class Webhooks(Protocol):
    """MLflow's webhooks of one workspace, what Lockgate keeps beside them, and what is owed to them."""

    def heard(self, event: str) -> bool:
        """Whether an active webhook hears that event. Costs one look in a transaction, however often it is asked."""

    def owe(self, event: str, told: Mapping[str, Any], at: datetime | None = None) -> None:
        """Owe the event to whoever hears it when it is sent; nothing is written when nobody does. `at` None is now."""

    def all(self) -> Sequence[Webhook]:
        """By name; deleted ones left out."""

    def get(self, id: str) -> Webhook | None: ...

    def subscribe(self, id: str, patterns: Sequence[str]) -> None:
        """Let the webhook hear exactly these of the record's actions."""

    def waiting(self) -> Mapping[str, int]:
        """How many deliveries each webhook still has to get."""

    def deliveries(self, webhook: str, limit: int = 100) -> Sequence[Delivery]:
        """Newest first."""

    def delivery(self, id: str) -> Delivery | None: ...

    def redeliver(self, id: str, at: datetime) -> None:
        """Make it due now, with all its attempts before it again."""

    def disable(self, id: str) -> None:
        """As MLflow's own update to DISABLED would."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What one look at the queue found: events that nobody was sent yet, and webhooks with a delivery due."""

    events: bool
    webhooks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a delivery goes now. `secret` is as MLflow stored it: encrypted."""

    url: str
    secret: str | None
    active: bool


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A claimed delivery with what is to be sent and where to; no target when the webhook was deleted."""

    delivery: Delivery
    body: str
    target: Target | None
    claim: Claim


class Deliveries(Protocol):
    """The queue: events are shared out to deliveries, one for each webhook, and those are taken under a lease."""

    def look(self) -> Owed:
        """Reads only."""

    def share_out(self) -> int:
        """Turn some events into a delivery for each webhook that hears them; how many events were taken."""

    def claim(self, webhook: str, owner: str, lease: timedelta) -> Outgoing | None:
        """The oldest that is due for that webhook, unless one is under way to it already."""

    def settle(self, work: Work, claim: Claim, delivery: Delivery) -> None:
        """Write the delivery and give the lease back. Raises LostClaim when the fence moved on."""

    def clean(self, keep: timedelta) -> int:
        """Delete some deliveries that ended longer ago than that; how many."""


class Sender(Protocol):
    """One attempt to send."""

    def send(self, target: Target, delivery: str, body: str) -> Attempt:
        """Never raises: what goes wrong is the attempt's error."""
