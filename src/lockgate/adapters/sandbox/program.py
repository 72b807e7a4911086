"""One program run apart from us: its own session and surroundings, its output kept to a tail, its end certain."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from lockgate.adapters.sandbox.surroundings import scrubbed
from lockgate.domain.errors import Unavailable

_TAIL = 64 * 1024  # bytes
_READ = 64 * 1024


class Program:
    """A started process. `output` is a file descriptor to wait on; `read_output` keeps the last 64 KiB of it."""

    def __init__(self, arguments: Sequence[str], scratch: Path, *, inherit: Sequence[int]) -> None:
        try:
            self._process = subprocess.Popen(
                arguments,
                cwd=scratch,
                env=scrubbed(scratch),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=inherit,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise _cannot_start(error) from error
        self.output = cast("IO[bytes]", self._process.stdout).fileno()
        os.set_blocking(self.output, False)
        self._tail = b""
        self._guard: subprocess.Popen[bytes] | None = None
        self._guard = self._guarded()

    @property
    def code(self) -> int | None:
        """The exit code, minus the signal's number if one ended it; None while it runs."""
        # looked at without taking it: until `end` takes it, the number of its group cannot become anybody else's
        told = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if told is None:
            return None
        return told.si_status if told.si_code == os.CLD_EXITED else -told.si_status

    def tell(self, line: bytes) -> None:
        """Write to its standard input; a program that is gone does not hear it."""
        with contextlib.suppress(OSError):
            cast("IO[bytes]", self._process.stdin).write(line)

    def tell_no_more(self) -> None:
        """Close its standard input."""
        with contextlib.suppress(OSError):
            cast("IO[bytes]", self._process.stdin).close()

    def read_output(self) -> bool:
        """Take what it printed. False at the end of it."""
        try:
            chunk = os.read(self.output, _READ)
        except BlockingIOError:
            return True
        self._tail = (self._tail + chunk)[-_TAIL:]
        return bool(chunk)

    def last_words(self) -> str:
        """The last line it printed that says anything, at most 300 characters."""
        lines = [line.strip() for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][-300:] if lines else ""

    def end(self) -> None:
        """Kill it and all that it started, and wait until the kernel has forgotten it."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            cast("IO[bytes]", self._guard.stdin).close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.tell_no_more()
        cast("IO[bytes]", self._process.stdout).close()

    def _guarded(self) -> subprocess.Popen[bytes]:
        """A shell that kills the program's group when we die, even if we are killed.

        It waits for the end of a pipe that we hold open. The program cannot be trusted to do that itself: a model
        that hangs with the interpreter's lock stops every thread of it.
        """
        try:
            return subprocess.Popen(
                ["/bin/sh", "-c", 'read -r _; kill -s KILL -- "-$1"', "guard", str(self._process.pid)],
                env={},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            self.end()
            raise _cannot_start(error) from error


def _cannot_start(error: OSError) -> Unavailable:
    return Unavailable(
        f"No process for the validation can be started: {error.strerror or error}.",
        hint="Look at the machine's memory and process limits, then try again.",
    )


def how_it_ended(code: int) -> str:
    """`exit code 3` or `signal 11 (SIGSEGV)`, for a person."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    hint = ", as it is when the machine has no memory left" if -code == signal.SIGKILL else ""
    return f"signal {-code} ({name}{hint})"
