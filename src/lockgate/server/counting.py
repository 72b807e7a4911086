"""Writes down what was counted of refused requests when its minute is over, and what is left when the server ends."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from lockgate.domain.errors import LockgateError

if TYPE_CHECKING:
    from lockgate.usecases.ports import Ports

EVERY_SECONDS = 5.0
STOP_SECONDS = 2.0
log = logging.getLogger("lockgate.server")


class Counting:
    """A thread that looks every few seconds for minutes that are over."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="denials", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Write down what is left. Nothing that goes wrong is raised: it is logged, and the counts are lost."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)
        self._write(all_of_them=True)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            self._write()

    def _write(self, *, all_of_them: bool = False) -> None:
        from lockgate.usecases import denials

        try:
            denials.told(self._ports, self._ports.clock.now(), all=all_of_them)
        except LockgateError as error:
            log.warning("how often requests were refused could not be put on the record: %s", error)
        except Exception:  # a bug must be loud and must not end the counting
            log.exception("bug")


_running: list[Counting] = []


def start(ports: Ports) -> None:
    """Count for this process until `stop`."""
    counting = Counting(ports)
    _running.append(counting)
    counting.start()


def stop() -> None:
    """End what `start` began; nothing where nothing was begun."""
    while _running:
        _running.pop().stop()
