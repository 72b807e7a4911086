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
            raise Unavailable(
                f"No process for the validation can be started: {error.strerror or error}.",
                hint="Look at the machine's memory and process limits, then try again.",
            ) from error
        self.output = cast("IO[bytes]", self._process.stdout).fileno()
        os.set_blocking(self.output, False)
        self._tail = b""

    @property
    def code(self) -> int | None:
        """The exit code, minus the signal's number if one ended it; None while it runs."""
        return self._process.poll()

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
        # until it is waited for, the group's number cannot belong to anybody else
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.tell_no_more()
        cast("IO[bytes]", self._process.stdout).close()


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
