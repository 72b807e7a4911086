"""Programs forked from a process that has imported the libraries already: ready in a fraction of a second.

All processes of one home share one fork server. Whoever needs it first starts it. It ends with the last of them, and
when it had nothing to do for a while.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

import lockgate
from lockgate.adapters.programs.cold import ColdPrograms, Held
from lockgate.adapters.programs.surroundings import import_path, scrubbed
from lockgate.usecases.program_ports import Child, ProgramOrder
from lockgate.wire.programs import LONGEST_PACKET, ForkAnswer, ForkOrder
from lockgate.wire.sockets import address

_MODULE = "lockgate.worker.forkserver"
_BACKLOG = 64
_IMPORTED_WITHIN_SECONDS = 60.0
_ANSWERED_WITHIN_SECONDS = 15.0
_TOLD_WITHIN_SECONDS = 1.0
_COLD_FOR_SECONDS = 60.0
_IDLE_SECONDS = 60.0

_log = structlog.get_logger("lockgate.programs")


class ForkedPrograms:
    """Keeps the promises of `Programs`. `folder` is for its socket and its log.

    Where the fork server cannot be had or may not fork, a program is started cold. Safe to use from several threads.
    """

    def __init__(self, folder: Path, *, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._folder = folder
        self._idle_seconds = idle_seconds
        self._cold = ColdPrograms(folder / "source")
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._server: int | None = None
        self._since = 0.0
        self._cold_until = 0.0

    def ready(self) -> bool:
        """As in the port: the first time it starts the fork server, which takes seconds to import the libraries."""
        with self._lock:
            if time.monotonic() < self._cold_until:
                return True
            try:
                return self._is_there()
            except OSError as error:
                self._do_without(str(error))
                return True

    def start(self, order: ProgramOrder) -> Child:
        """As in the port. It waits for the fork server where `ready` did not say that it is there."""
        if order.python is not None:
            return self._cold.start(order)
        until = time.monotonic() + _IMPORTED_WITHIN_SECONDS
        while not self.ready() and time.monotonic() < until:
            line = self._line
            if line is not None:
                with suppress(OSError, ValueError):
                    select.select([line], [], [], 0.5)
        if time.monotonic() < self._cold_until:
            return self._cold.start(order)
        return self._forked(order) or self._cold.start(order)

    @property
    def server(self) -> int | None:
        """The process number of the fork server, once it has greeted."""
        return self._server

    def close(self) -> None:
        """Need it no more. What was started goes on."""
        with self._lock:
            self._hang_up()

    def _is_there(self) -> bool:
        """Whether it has greeted and still lives."""
        if self._line is None:
            self._line, self._since = self._connected(), time.monotonic()
            self._line.setblocking(False)
        try:
            raw = self._line.recv(LONGEST_PACKET)
        except BlockingIOError:
            if self._server is None and time.monotonic() - self._since > _IMPORTED_WITHIN_SECONDS:
                raise TimeoutError(f"it has not begun after {_IMPORTED_WITHIN_SECONDS:g} s") from None
            return self._server is not None
        except ConnectionError:
            raw = b""
        if raw:
            self._server = ForkAnswer.decode(raw).greeting
            return self._server is not None
        lived = self._server is not None
        self._hang_up()
        if not lived:
            raise ConnectionResetError(f"it ended while it imported the libraries; see {self._path('log')}")
        return False  # it had nothing to do and went, or was killed: the next question starts another

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
        self._line, self._server = None, None

    def _do_without(self, because: str) -> None:
        self._hang_up()
        self._cold_until = time.monotonic() + _COLD_FOR_SECONDS
        _log.warning("no fork server: programs are started cold", because=because)

    def _forked(self, order: ProgramOrder) -> Child | None:
        """None when the fork server did not get the order, or may not carry it out. Raises OSError like a start."""
        line = _connect(self._path("sock"))
        if line is None:
            return None
        try:
            line.settimeout(_ANSWERED_WITHIN_SECONDS)
            if not _greeted(line):
                line.close()
                return None
            asked = ForkOrder(
                order.module,
                order.arguments,
                str(order.folder),
                scrubbed(os.environ, order.folder),
                order.inherit,
            )
            # from here on it may have been carried out: a second try could start it twice
            socket.send_fds(line, [asked.encode()], [order.input, order.output, *order.inherit])
            answer, held = _answer(line)
            if answer.pid is not None and held is not None:
                return ForkedChild(line, answer.pid, held)
        except BaseException:
            line.close()
            raise
        line.close()
        if answer.error is not None:
            raise OSError(*answer.error)
        _log.warning("the fork server may not fork", because=answer.refused)
        return None

    def _connected(self) -> socket.socket:
        """A connection to the fork server, which is started when there is none. It is greeted later."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.chmod(0o700)
        path = self._path("sock")
        with _locked(self._path("lock")):
            line = _connect(path)
            if line is None:
                path.unlink(missing_ok=True)
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                    with address(path.parent, path.name) as place:
                        listener.bind(place)
                    listener.listen(_BACKLOG)
                    self._begin(listener)
                line = _connect(path)
        if line is None:
            raise ConnectionRefusedError("it does not answer")
        return line

    def _begin(self, listener: socket.socket) -> None:
        home = self._folder / "home"
        home.mkdir(exist_ok=True, mode=0o700)
        with self._path("log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-P", "-u", "-m", _MODULE, f"{self._idle_seconds:g}"],
                stdin=listener.fileno(),
                stdout=log,
                stderr=log,
                cwd=home,
                env=scrubbed(os.environ, home),
                start_new_session=True,
            )
        # whoever started it is its parent, and takes its end from the kernel; it may end long before us
        threading.Thread(target=child.wait, name="fork server", daemon=True).start()
        _log.debug("started the fork server", pid=child.pid)

    def _path(self, suffix: str) -> Path:
        """Named after all that two processes must have in common to share a fork server."""
        same = [sys.executable, sys.version, lockgate.__version__, *import_path(os.environ)]
        return self._folder / f"{hashlib.sha256(json.dumps(same).encode()).hexdigest()[:12]}.{suffix}"


class ForkedChild:
    """A child of the fork server's. What is known of its exit code is what the server told on `line`."""

    def __init__(self, line: socket.socket, pid: int, held: int) -> None:
        self._line = line
        self._pid = pid
        self._held = Held(pid, held)
        self._code: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def ended(self) -> bool:
        return self._held.ended

    @property
    def code(self) -> int | None:
        if self._code is None and self._held.ended:
            with suppress(OSError, ValueError, TypeError):
                self._line.settimeout(_TOLD_WITHIN_SECONDS)
                self._code = ForkAnswer.decode(self._line.recv(LONGEST_PACKET)).code
        return self._code

    def wait(self, seconds: float) -> bool:
        return self._held.wait(seconds)

    def let_go(self) -> None:
        self._line.close()
        self._held.close()


def _greeted(line: socket.socket) -> bool:
    try:
        return bool(line.recv(LONGEST_PACKET))
    except OSError:
        return False


def _answer(line: socket.socket) -> tuple[ForkAnswer, int | None]:
    raw, fds, _, _ = socket.recv_fds(line, LONGEST_PACKET, 1)
    if not raw:
        raise ConnectionResetError("the fork server ended")
    for fd in fds:
        os.set_inheritable(fd, False)
    return ForkAnswer.decode(raw), fds[0] if fds else None


def _connect(path: Path) -> socket.socket | None:
    """None when nobody listens there."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with address(path.parent, path.name) as place:
            line.connect(place)
    except (FileNotFoundError, ConnectionRefusedError):
        line.close()
        return None
    except BaseException:
        line.close()
        raise
    return line


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
