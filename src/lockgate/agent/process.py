"""Running an agent as a process: signals end it, and so does the end of its parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from lockgate.agent.loop import Agent

_SIGNAL_ON_ITS_WAY_SECONDS = 1.0


def run_until_told(agent: Agent, *, watch_parent: bool = False) -> None:
    """Run the agent in this thread until TERM or INT, which end its workers too.

    With `watch_parent` the end of standard input means that the parent is gone: the agent ends and leaves its workers
    running, for the next one to adopt. Raises Unavailable when another agent runs on the same folder.
    """
    stop, leave_workers = threading.Event(), threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        leave_workers.clear()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    if watch_parent:
        threading.Thread(target=_watch, args=(stop, leave_workers), name="parent", daemon=True).start()
    agent.run(stop, leave_workers=leave_workers)


def _watch(stop: threading.Event, leave_workers: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    # a parent that ends in good order sends TERM first, and that may still be on its way
    if not stop.wait(_SIGNAL_ON_ITS_WAY_SECONDS):
        leave_workers.set()
        stop.set()
