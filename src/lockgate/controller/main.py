"""Running the controller as a process: it takes no port, and TERM or Ctrl-C end it after the step it is at."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Protocol


class Loop(Protocol):
    """What looks, decides and acts until it is told to stop."""

    def run(self, stop: threading.Event) -> None: ...


def run_until_told(loop: Loop) -> None:
    """Run the loop in this thread until TERM or INT. What it was at is taken over by the next controller."""
    stop = threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    loop.run(stop)
