"""Writes checkpoints to places outside, where there are any: looks every few seconds, and writes when one is due."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta

import structlog

from lockgate.controller.troubles import Troubles
from lockgate.usecases import anchoring
from lockgate.usecases.anchor_ports import Anchor
from lockgate.usecases.ports import Ports

log = structlog.get_logger("lockgate.controller")

LOOK_SECONDS = 5.0


class Anchoring:
    """`every` is how long it takes at least from one checkpoint to the next in each place."""

    def __init__(self, ports: Ports, places: Sequence[Anchor], every: timedelta) -> None:
        self._ports = ports
        self._places = places
        self._every = every
        self._troubles = Troubles()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; at once where there is no place. Safe beside another controller that does."""
        while self._places and not stop.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Look once. Nothing that goes wrong is raised: it is logged, and the next look comes."""
        with self._troubles.outlived("anchoring"):
            if written := anchoring.keep_up(self._ports, self._places, self._every):
                log.info("anchored", places=written)
