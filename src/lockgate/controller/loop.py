"""Look, decide, act, for as long as it runs: one thread takes promotions further, another runs validations.

Whatever it holds is leased. Killed at any moment it leaves rows that the next controller goes on from.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from lockgate.controller.deadlines import Deadlines
from lockgate.controller.troubles import Troubles
from lockgate.controller.watching import Watch
from lockgate.domain.errors import LockgateError
from lockgate.usecases import engines, validate
from lockgate.usecases.advance import advance
from lockgate.usecases.artifact_ports import Sandbox
from lockgate.usecases.engine_ports import Bench
from lockgate.usecases.ports import LostClaim, Ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockgate.controller.deliveries import Deliverer
    from lockgate.controller.numbering import Numberer
    from lockgate.domain.promotion import Claim

log = structlog.get_logger("lockgate.controller")

LEASE = timedelta(seconds=10)
IDLE_SECONDS = 0.1
AFTER_TROUBLE_SECONDS = 1.0


class Controller:
    """Drives open promotions and queued validations through the use cases."""

    def __init__(
        self,
        ports: Ports,
        sandbox: Sandbox,
        deliverer: Deliverer | None = None,
        numberer: Numberer | None = None,
        bench: Bench | None = None,
    ) -> None:
        self._ports = ports
        self._sandbox = sandbox
        self._deliverer = deliverer
        self._numberer = numberer
        self._bench = bench
        self._troubles = Troubles()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. A step under way is finished; a validation under way is left to its lease."""
        threads = [
            threading.Thread(target=self._forever, args=(stop, step), name=name, daemon=True)
            for name, step in (("promotions", self.advance_one), ("validations", self.examine_one))
        ]
        threads.append(threading.Thread(target=Watch(self._ports).run, args=(stop,), name="drift", daemon=True))
        threads.append(threading.Thread(target=Deadlines(self._ports).run, args=(stop,), name="deadlines", daemon=True))
        if self._deliverer is not None:
            threads.append(threading.Thread(target=self._deliverer.run, args=(stop,), name="webhooks", daemon=True))
        if self._numberer is not None:
            threads.append(threading.Thread(target=self._numberer.run, args=(stop,), name="numbering", daemon=True))
        for thread in threads:
            thread.start()
        stop.wait()
        for thread in threads:
            thread.join(timeout=5)

    def advance_one(self) -> bool:
        """Take the promotion that is due longest one step further; False when none is due."""
        claimed = self._ports.queue.claim_promotion(self._ports.owner, LEASE)
        if claimed is None:
            return False
        promotion, claim = claimed
        with self._ports.store.within(claim.workspace), self._kept(claim):
            after = advance(self._ports, promotion, claim)
        if after.state is not promotion.state:
            log.info(
                "promotion", id=after.id, version=str(after.ref), to=after.stage, state=after.state, why=after.because
            )
        return True

    def validate_one(self) -> bool:
        """Run the next validation of the queue; False when there is none."""
        claimed = self._ports.queue.claim_validation(self._ports.owner, LEASE)
        if claimed is None:
            return False
        validation, claim = claimed
        log.info("validation", id=validation.id, version=str(validation.ref), state="running")
        with self._ports.store.within(claim.workspace), self._kept(claim):
            after = validate.run(self._ports, self._sandbox, validation, claim)
        log.info("validation", id=after.id, version=str(after.ref), state=after.state, why=after.because)
        return True

    def examine_one(self) -> bool:
        """Run the next validation, or measure engines where none waits: one after the other, so that neither disturbs
        the other's figures. False when there is nothing to do.
        """
        return self.validate_one() or self.measure_one()

    def measure_one(self) -> bool:
        """Measure the engines of the next version of the queue; False when there is none."""
        claimed = self._ports.queue.claim_measurement(self._ports.owner, LEASE) if self._bench is not None else None
        if claimed is None or self._bench is None:
            return False
        measurement, claim = claimed
        log.info("engines", id=measurement.id, version=str(measurement.ref), state="running")
        with self._ports.store.within(claim.workspace), self._kept(claim):
            after = engines.run(self._ports, self._bench, measurement, claim)
        log.info("engines", id=after.id, version=str(after.ref), state=after.state, why=after.because)
        return True

    def _forever(self, stop: threading.Event, step: Callable[[], bool]) -> None:
        while not stop.is_set():
            pause = self._guarded(step)
            if pause:
                stop.wait(pause)

    def _guarded(self, step: Callable[[], bool]) -> float:
        """How long to pause after the step, in seconds. No trouble of one promotion stops the others."""
        try:
            pause = 0.0 if step() else IDLE_SECONDS
            self._troubles.over(step.__name__)
        except LostClaim:
            return 0.0
        except LockgateError as error:
            self._troubles.met(step.__name__, error)
        except Exception:
            # a bug must be loud and must not end the loop: the promotion is tried again after its lease
            log.exception("bug")
        else:
            return pause
        return AFTER_TROUBLE_SECONDS

    @contextmanager
    def _kept(self, claim: Claim) -> Iterator[None]:
        """Renew the lease from a thread while the block works."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(LEASE.total_seconds() / 3):
                try:
                    if not self._ports.queue.renew(claim, LEASE):
                        return
                except LockgateError as error:
                    log.warning("lease", id=claim.id, error=str(error))

        started = time.monotonic()
        thread = threading.Thread(target=renew, name=f"lease-{claim.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(timeout=1)
            log.debug("step", id=claim.id, seconds=round(time.monotonic() - started, 3))
