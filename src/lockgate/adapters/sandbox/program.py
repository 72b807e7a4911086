"""One program run apart from us: its output kept to a tail, its end certain."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from lockgate.domain.errors import Unavailable
from lockgate.usecases.program_ports import ProgramOrder, Programs

_TAIL = 64 * 1024  # bytes
_READ = 64 * 1024
_END_SECONDS = 30.0  # a killed process is gone at once, unless the kernel itself is stuck


class Program:
    """A started process. `output` is a file descriptor to wait on; `read_output` keeps the last 64 KiB of it."""

    def __init__(
        self,
        programs: Programs,
        module: str,
        arguments: Sequence[str],
        scratch: Path,
        *,
        inherit: Sequence[int],
        python: str | None = None,
    ) -> None:
        theirs_in, self._input = os.pipe()
        self.output, theirs_out = os.pipe()
        os.set_blocking(self.output, False)
        order = ProgramOrder(module, scratch, theirs_in, theirs_out, tuple(arguments), tuple(inherit), python)
        try:
            self._child = programs.start(order)
        except BaseException as error:
            os.close(self.output)
            self.tell_no_more()
            if isinstance(error, OSError):
                raise _cannot_start(error) from error
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._tail = b""
        self._guard: subprocess.Popen[bytes] | None = None
        self._guard = self._guarded()

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._child.ended

    def how_it_ended(self) -> str:
        """`exit code 3` or `signal 11 (SIGSEGV)`, for a person, once it is over."""
        return how_it_ended(self._child.code)

    def tell(self, line: bytes) -> None:
        """Write to its standard input; a program that is gone does not hear it."""
        rest = memoryview(line)
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(self._input, rest) :]

    def tell_no_more(self) -> None:
        """Close its standard input."""
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

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
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait(_END_SECONDS)
        self._child.let_go()
        self.tell_no_more()
        os.close(self.output)

    def _guarded(self) -> subprocess.Popen[bytes]:
        """A shell that kills the program's group when we die, even if we are killed.

        It waits for the end of a pipe that we hold open. The program cannot be trusted to do that itself: a model
        that hangs with the interpreter's lock stops every thread of it.
        """
        try:
            return subprocess.Popen(
                ["/bin/sh", "-c", 'read -r _; kill -s KILL -- "-$1"', "guard", str(self._child.pid)],
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


def how_it_ended(code: int | None) -> str:
    """`exit code 3` or `signal 11 (SIGSEGV)`, for a person."""
    if code is None:
        return "an exit code that was lost"
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    hint = ", as it is when the machine has no memory left" if -code == signal.SIGKILL else ""
    return f"signal {-code} ({name}{hint})"
