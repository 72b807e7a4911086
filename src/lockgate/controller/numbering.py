"""Gives versions their semantic versions within a second of their registration; those from before Lockgate, slowly."""

from __future__ import annotations

import threading
from datetime import timedelta
from time import monotonic

import structlog

from lockgate.controller.troubles import Troubles
from lockgate.domain.errors import LockgateError
from lockgate.usecases import number
from lockgate.usecases.ports import Ports
from lockgate.usecases.semver_ports import Numbering

log = structlog.get_logger("lockgate.controller")

LOOK_SECONDS = 0.5
AT_A_TIME = 10
LEASE = timedelta(seconds=60)
AFTER_TROUBLE_SECONDS = 1.0
# of the time: no more than half of it, so that whoever registers many versions is not held up by their numbers; and
# for what was there before Lockgate no more than a tenth
REST_AFTER_URGENT, REST_AFTER_BACKLOG = 1.0, 9.0


class Numberer:
    """Looks at the versions that are due. Safe beside another controller that does so too."""

    def __init__(self, ports: Ports, queue: Numbering) -> None:
        self._ports = ports
        self._queue = queue
        self._troubles = Troubles()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. What it was at is claimed again when its lease is over."""
        while not stop.is_set():
            pause = self._guarded()
            if pause:
                stop.wait(pause)

    def step(self) -> float:
        """Look at a few versions of one model; how long to pause after it, in seconds."""
        batch = self._queue.claim(LEASE, AT_A_TIME)
        if batch is None:
            return LOOK_SECONDS
        began = monotonic()
        with self._ports.store.within(batch.workspace):
            given = number.number(self._ports, batch)
        log.debug("numbered", model=batch.model, versions=len(batch.versions), given=given)
        return (monotonic() - began) * (REST_AFTER_URGENT if batch.urgent else REST_AFTER_BACKLOG)

    def _guarded(self) -> float:
        try:
            pause = self.step()
            self._troubles.over("numbering")
        except LockgateError as error:
            self._troubles.met("numbering", error)
        except Exception:
            # a bug must be loud and must not end the loop: the versions are looked at again after their lease
            log.exception("bug")
        else:
            return pause
        return AFTER_TROUBLE_SECONDS
