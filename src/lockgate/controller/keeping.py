"""Removes the texts of old entries, where a rule says so: soon after the start, then every few hours."""

from __future__ import annotations

import threading

import structlog

from lockgate.domain.errors import LockgateError
from lockgate.usecases import retain
from lockgate.usecases.ports import Ports

log = structlog.get_logger("lockgate.controller")

FIRST_SECONDS = 60.0
EVERY_SECONDS = 6 * 3600.0


class Keeping:
    """One controller of several does it at a time; the others find nothing left."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        pause = FIRST_SECONDS
        while not stop.wait(pause):
            self.look()
            pause = EVERY_SECONDS

    def look(self) -> None:
        """Look once. Nothing that goes wrong is raised: it is logged, and the next look comes."""
        try:
            if removed := retain.prune(self._ports):
                log.info("retention", removed=removed)
        except LockgateError as error:
            log.warning("trouble", step="retention", error=str(error))
        except Exception:
            # a bug must be loud and must not end the looking
            log.exception("bug")
