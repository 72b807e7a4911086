"""Looks every minute for what nobody did in time: requests that nobody answered, emergencies that nobody reviewed."""

from __future__ import annotations

import threading

import structlog

from lockgate.domain.errors import LockgateError
from lockgate.usecases import break_glass, withdraw
from lockgate.usecases.ports import Ports

log = structlog.get_logger("lockgate.controller")

FIRST_SECONDS = 3.0
EVERY_SECONDS = 60.0


class Deadlines:
    """Puts on the record what is over. Safe beside another controller that looks too."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        pause = FIRST_SECONDS
        while not stop.wait(pause):
            self.look()
            pause = EVERY_SECONDS

    def look(self) -> None:
        """Look once. Nothing that goes wrong is raised: it is logged, and the next look comes."""
        try:
            with self._ports.store.reading() as work:
                workspaces = work.drift.workspaces()
            for workspace in workspaces:
                with self._ports.store.within(workspace):
                    self._look_within()
        except LockgateError as error:
            log.warning("trouble", error=str(error))
        except Exception:
            # a bug must be loud and must not end the looking
            log.exception("bug")

    def _look_within(self) -> None:
        if expired := withdraw.expire(self._ports):
            log.info("requests expired", number=expired)
        if overdue := break_glass.note_overdue(self._ports):
            log.warning("break-glass reviews overdue", number=overdue)
