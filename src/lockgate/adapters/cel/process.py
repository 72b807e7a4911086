"""One child that evaluates rules, and the pipe to it: every wait has a limit, and the end of it leaves no zombie."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lockgate

_READ = 4096
_LONGEST_ANSWER = 16384  # bytes of a line: more than the child ever says


class TookTooLong(Exception):
    """The answer did not come in time, by the processor's time or by the clock. The child is dead."""


class Ended(Exception):
    """The child is gone for a reason of its own. `signal` is what ended it, 0 when it left or broke the protocol."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


class Child:
    """A running child. Any exception out of a method means that it was ended."""

    def __init__(self, *, memory: int, seconds: float, start_within: float) -> None:
        self._rest = b""
        self._process = subprocess.Popen(
            # -P: the folder it starts in must not be importable
            [sys.executable, "-P", "-m", "lockgate.adapters.cel.child", str(memory), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(),
            bufsize=0,
            # Ctrl-C on a terminal is meant for us; it leaves when its input ends
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self.listen(time.monotonic() + start_within)

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def tell(self, request: Mapping[str, Any], deadline: float) -> None:
        """Send a request. Raises TookTooLong, Ended."""
        left = memoryview(json.dumps(request).encode() + b"\n")
        while left:
            self._wait(self._in, select.POLLOUT, deadline)
            try:
                left = left[os.write(self._in, left) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._ended() from None

    def listen(self, deadline: float) -> Mapping[str, Any]:
        """The next answer. Raises TookTooLong, Ended."""
        while b"\n" not in self._rest:
            self._wait(self._out, select.POLLIN, deadline)
            try:
                read = os.read(self._out, _READ)
            except BlockingIOError:
                continue
            self._rest += read
            if not read or len(self._rest) > _LONGEST_ANSWER:
                raise self._ended()
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            told = json.loads(line)
        except ValueError:
            raise self._ended() from None
        if not isinstance(told, dict):
            raise self._ended()
        return told

    def end(self) -> None:
        """Kill it if it runs, and take note of its end."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _wait(self, fd: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(fd, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            self.end()
            raise TookTooLong

    def _ended(self) -> Exception:
        """What its end means: the kernel ends one that used up its processor time."""
        try:
            # its pipe is closed a moment before it is gone
            code = self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            code = 0
        self.end()
        return TookTooLong() if code == -signal.SIGPROF else Ended(max(0, -code))


def _environment() -> dict[str, str]:
    """All that it sees of ours: no database address, no key, no token, no home."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        # a source tree that is not installed must still be found by the child
        "PYTHONPATH": str(Path(lockgate.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
