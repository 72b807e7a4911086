"""Delivers webhooks: looks at the queue once a second, and lets one thread for each receiver send what is due to it.

A receiver that is slow or dead keeps one thread waiting and nobody else. A controller killed between sending and
settling leaves a lease; whoever takes it over sends again, under the same id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

import structlog

from lockgate.controller.troubles import Troubles
from lockgate.domain.errors import LockgateError
from lockgate.domain.webhooks import Delivery
from lockgate.usecases.ports import LostClaim
from lockgate.usecases.webhook_ports import Deliveries, Outgoing

log = structlog.get_logger("lockgate.controller")

LOOK_SECONDS = 1.0
CLEAN_SECONDS = 60.0
MOST_THREADS = 64
STOP_SECONDS = 3.0
LEASE_MARGIN = timedelta(seconds=5)


class Deliverer:
    """`carry` makes one attempt and settles it: `timeout` is how long that may take.

    `keep` is how long deliveries that ended stay in the log.
    """

    def __init__(
        self,
        queue: Deliveries,
        owner: str,
        carry: Callable[[Outgoing], Delivery],
        *,
        timeout: timedelta,
        keep: timedelta,
    ) -> None:
        self._queue = queue
        self._owner = owner
        self._carry = carry
        self._lease = timeout + LEASE_MARGIN
        self._keep = keep
        self._busy: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._clean_at = monotonic()
        self._troubles = Troubles()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Attempts that take longer then are left to their leases, and made again."""
        while not stop.is_set():
            self._guarded(stop)
            stop.wait(LOOK_SECONDS)
        give_up = monotonic() + STOP_SECONDS
        with self._lock:
            under_way = list(self._busy.values())
        for thread in under_way:
            thread.join(max(0.0, give_up - monotonic()))

    def drain(self, webhook: str, stop: threading.Event) -> None:
        """Send what is due to one receiver, one after the other, until nothing is."""
        while not stop.is_set():
            outgoing = self._queue.claim(webhook, self._owner, self._lease)
            if outgoing is None:
                return
            after = self._carry(outgoing)
            told = {"id": after.id, "topic": after.event, "webhook": webhook, "attempt": after.attempts}
            log.info("delivery", **told, state=after.state.value, status=after.last_status, why=after.last_error)

    def _guarded(self, stop: threading.Event) -> None:
        try:
            self._look(stop)
            self._clean()
            self._troubles.over("deliveries")
        except LockgateError as error:
            self._troubles.met("deliveries", error)
        except Exception:
            # a bug must be loud and must not end the loop
            log.exception("bug")

    def _look(self, stop: threading.Event) -> None:
        owed = self._queue.look()
        if owed.events:
            while self._queue.share_out() and not stop.is_set():
                pass
            owed = self._queue.look()
        for webhook in owed.webhooks:
            # not a pool: the end of the process would wait for its threads, and each for its receiver
            thread = threading.Thread(target=self._drained, args=(webhook, stop), name=f"to-{webhook}", daemon=True)
            with self._lock:
                if webhook in self._busy or len(self._busy) >= MOST_THREADS:
                    continue
                self._busy[webhook] = thread
            thread.start()

    def _drained(self, webhook: str, stop: threading.Event) -> None:
        try:
            self.drain(webhook, stop)
        except LostClaim:
            pass  # another controller has it
        except LockgateError as error:
            log.warning("trouble", webhook=webhook, error=str(error))
        except Exception:
            log.exception("bug", webhook=webhook)
        finally:
            with self._lock:
                del self._busy[webhook]

    def _clean(self) -> None:
        """Forget a bounded number of old deliveries now and then."""
        if monotonic() < self._clean_at:
            return
        self._clean_at = monotonic() + CLEAN_SECONDS
        self._queue.clean(self._keep)
