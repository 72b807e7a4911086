"""One running process, held so that its number can never come to mean another one."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path


class Process:
    """A process by pidfd. It need not be a child of this one."""

    def __init__(self, pid: int, held: int) -> None:
        self.pid = pid
        self._held = held

    @classmethod
    def find(cls, pid: int, started: int) -> Process | None:
        """The process with that number and start time (clock ticks after boot), or None when it is gone."""
        try:
            held = os.pidfd_open(pid)
        except OSError:
            return None
        found = cls(pid, held)
        # asked after it is held: from here on the number cannot pass to another process
        if found.alive and started_at(pid) == started:
            return found
        found.close()
        return None

    @property
    def alive(self) -> bool:
        """Whether it runs; a zombie does not."""
        poll = select.poll()
        poll.register(self._held, select.POLLIN)
        return not poll.poll(0)

    def wait(self, seconds: float) -> bool:
        """Wait for its end. False when it still runs after `seconds`."""
        poll = select.poll()
        poll.register(self._held, select.POLLIN)
        return bool(poll.poll(max(0, int(seconds * 1000))))

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        try:
            signal.pidfd_send_signal(self._held, number)
        except ProcessLookupError:
            return

    def memory(self) -> int:
        """The bytes it takes, with what it shares with other processes divided among them (PSS); 0 when it is gone.

        Where the kernel does not tell that, what it shares counts in full (RSS).
        """
        with suppress(OSError):
            told = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
            return next((int(line.split()[1]) * 1024 for line in told.splitlines() if line.startswith("Pss:")), 0)
        with suppress(OSError):
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return 0

    def close(self) -> None:
        """Let go of it."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


def started_at(pid: int) -> int | None:
    """When the process started, in clock ticks after boot, or None when there is none."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(told.rpartition(")")[2].split()[19])
