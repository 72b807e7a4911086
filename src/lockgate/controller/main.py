"""The controller as a process: its parts, put together, until TERM or INT."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import structlog

from lockgate.config import Settings
from lockgate.controller.loop import Controller
from lockgate.wiring import Node

log = structlog.get_logger("lockgate.controller")


def run(settings: Settings) -> None:
    """Advance promotions and run validations until told to stop."""
    stop = threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    node = Node(settings, "controller")
    log.info("started", owner=node.ports.owner)
    Controller(node.ports, node.sandbox).run(stop)
    log.info("stopped")
