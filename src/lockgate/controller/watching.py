"""Looks for what was changed past Lockgate: soon after the start, then every minute; seldom where it takes long."""

from __future__ import annotations

import threading
from time import monotonic

import structlog

from lockgate.domain.errors import LockgateError
from lockgate.usecases import drift, protect
from lockgate.usecases.ports import Ports

log = structlog.get_logger("lockgate.controller")

FIRST_SECONDS = 2.0
EVERY_SECONDS = 60.0
# after a look it rests this many times as long as the look took: no more than a hundredth of its time goes into it
REST = 99.0


class Watch:
    """Puts differences on the record when they begin and when they end, and guards the files of what came past us."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set. Safe beside another controller that looks too."""
        pause = FIRST_SECONDS
        while not stop.wait(pause):
            began = monotonic()
            self.look()
            pause = max(EVERY_SECONDS, (monotonic() - began) * REST)

    def look(self) -> None:
        """Look once. Nothing that goes wrong is raised: it is logged, and the next look comes."""
        try:
            protect.adopt(self._ports.store)
            noted = drift.note(self._ports)
        except LockgateError as error:
            log.warning("trouble", error=str(error))
        except Exception:
            # a bug must be loud and must not end the looking
            log.exception("bug")
        else:
            for each in noted.found:
                log.warning("drift", model=each.model, kind=each.kind.value, what=each.because)
            if noted.ended:
                log.info("drift", ended=noted.ended)
