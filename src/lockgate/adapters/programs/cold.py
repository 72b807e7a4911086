"""Programs started the plain way: a fresh interpreter, which imports for seconds."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

from lockgate.adapters.programs.interpreters import Interpreters
from lockgate.adapters.programs.surroundings import scrubbed
from lockgate.usecases.program_ports import Child, ProgramOrder


class Held:
    """A process by pidfd: whether it runs, and a wait for its end. It need not be a child of this one."""

    def __init__(self, pid: int, held: int) -> None:
        self.pid = pid
        self._held = held
        self._over = False

    @property
    def ended(self) -> bool:
        """Whether it is over; a zombie is."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Wait for its end. False when it still runs after `seconds`; what is known stays known once it is closed."""
        if self._over or self._held < 0:
            return self._over
        poll = select.poll()
        poll.register(self._held, select.POLLIN)
        self._over = bool(poll.poll(max(0, int(seconds * 1000))))
        return self._over

    def close(self) -> None:
        """Let go of it."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


class ColdPrograms:
    """Keeps the promises of `Programs` with `subprocess`. By `folder` other interpreters find our package."""

    def __init__(self, folder: Path) -> None:
        self._interpreters = Interpreters(folder)

    def ready(self) -> bool:
        """Always: there is nothing to get ready."""
        return True

    def start(self, order: ProgramOrder) -> Child:
        """As in the port."""
        source = None
        if order.python is not None:
            self._interpreters.require(order.python)
            source = self._interpreters.source()
        return ColdChild(
            subprocess.Popen(
                # -P: the folder it starts in must not be importable
                [order.python or sys.executable, "-P", "-u", "-m", order.module, *order.arguments],
                stdin=order.input,
                stdout=order.output,
                stderr=order.output,
                cwd=order.folder,
                env=scrubbed(os.environ, order.folder, source),
                pass_fds=order.inherit,
                start_new_session=True,
            )
        )


class ColdChild:
    """A child of this process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._held = Held(process.pid, os.pidfd_open(process.pid))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._held.ended

    @property
    def code(self) -> int | None:
        if self._process.returncode is not None:
            return self._process.returncode
        # looked at without taking it: until it is let go, its number and its group's cannot become anybody else's
        return code_of(os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))

    def wait(self, seconds: float) -> bool:
        return self._held.wait(seconds)

    def let_go(self) -> None:
        if self._process.returncode is None and self._process.poll() is None:
            # it outlives us on purpose, which subprocess would otherwise warn of
            self._process.returncode = 0
        self._held.close()


def code_of(told: os.waitid_result | None) -> int | None:
    """The exit code out of what the kernel tells, minus the signal's number if one ended it."""
    if told is None:
        return None
    return told.si_status if told.si_code == os.CLD_EXITED else -told.si_status
