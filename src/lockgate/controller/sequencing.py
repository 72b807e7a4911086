"""Gives entries their positions in the record's tree within a second, and signs a checkpoint when it grew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

import structlog

from lockgate.controller.troubles import Troubles
from lockgate.domain.checkpoints import Check, Signer
from lockgate.usecases import sequence
from lockgate.usecases.ports import Ports
from lockgate.usecases.tree_ports import Sequencing

log = structlog.get_logger("lockgate.controller")

LOOK_SECONDS = 0.25
COUNT_SECONDS = 1.0
SIGN_SECONDS = 2.0
MOST_SECONDS = 1.0
LAST_SECONDS = 3.0


class Sequencer:
    """`signer` gives the key that signs now: it is asked each time, so that a new one is taken without a restart."""

    def __init__(self, ports: Ports, sequencing: Sequencing, signer: Callable[[], Signer], check: Check) -> None:
        self._ports = ports
        self._sequencing = sequencing
        self._signer = signer
        self._check = check
        self._count_at = self._sign_at = monotonic()
        self._unsigned = True
        self._troubles = Troubles()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Safe beside another controller that does."""
        while not stop.wait(LOOK_SECONDS):
            self._guarded(self.look)

    def look(self) -> None:
        """Place whatever waits; sign if the tree grew and the last checkpoint is some seconds old."""
        thorough = monotonic() >= self._count_at
        if thorough:
            self._count_at = monotonic() + COUNT_SECONDS
            self._unsigned = True  # another controller may have died between placing and signing
        self._grow(thorough=thorough, seconds=MOST_SECONDS)
        if self._unsigned and monotonic() >= self._sign_at:
            self._sign()

    def finish(self) -> None:
        """At the end: place whatever waits and sign it, so that nothing is left without a signature."""
        self._guarded(self._all)

    def _all(self) -> None:
        self._grow(thorough=True, seconds=LAST_SECONDS)
        self._sign()

    def _grow(self, *, thorough: bool, seconds: float) -> None:
        """Place what waits. A record that was long before it had a tree takes many steps; else there is one in each
        look, however many changes come meanwhile: each takes the database's write lock for a moment.
        """
        end = monotonic() + seconds
        placed = sequence.AT_ONCE
        while placed == sequence.AT_ONCE and monotonic() < end and self._sequencing.waits(thorough=thorough):
            placed = sequence.grow(self._sequencing, self._ports.owner)
            self._unsigned = self._unsigned or placed > 0

    def _sign(self) -> None:
        self._sign_at = monotonic() + SIGN_SECONDS
        now = self._ports.clock.now()
        ports = self._ports
        made = sequence.sign(ports.store, self._sequencing, self._signer(), self._check, ports.owner, now)
        self._unsigned = False
        if made is not None:
            log.debug("checkpoint", size=made.size)

    def _guarded(self, step: Callable[[], None]) -> None:
        with self._troubles.outlived("sequencing"):
            step()
