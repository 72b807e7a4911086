"""Several server processes on one socket: forked before anything heavy is loaded, replaced, stopped together."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, MutableSequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, TypeAlias

from lockgate.domain.errors import LockgateError, Unavailable
from lockgate.server import logs
from lockgate.server.accepting import ABSENT, Share
from lockgate.server.main import GRACE, run

if TYPE_CHECKING:
    from lockgate.config import Settings

CANNOT_START = 3  # exit code of a process that could not load what it serves: a new one could not either
LEAST_LIFE = 5.0  # seconds; one that dies sooner, twice in a row, is not worth a third
# what every process gets: settings, socket, both ends of a pipe, and the memory for the counts of connections
Shared: TypeAlias = "tuple[Settings, socket.socket, Connection, Connection, MutableSequence[int]]"
log = logging.getLogger("lockgate.server")
# a fork is listening at once, where a fresh interpreter would first load what is loaded here; no other thread of this
# process does anything but wait. macOS's own libraries do not bear it
_processes: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
_STOPS = (signal.SIGTERM, signal.SIGINT)


def run_all(settings: Settings, listener: socket.socket) -> None:
    """Serve with `settings.workers` processes until TERM or INT. Raises Unavailable when they cannot start."""
    stop = threading.Event()
    theirs, mine = _processes.Pipe(duplex=False)  # its end tells the processes that this one is gone, even by kill -9
    with _stopping(stop), contextlib.closing(mine), contextlib.closing(theirs):
        counts = _processes.RawArray("i", [ABSENT] * settings.workers)
        shared = settings, listener, theirs, mine, counts
        processes = [_start(shared, slot) for slot in range(settings.workers)]
        try:
            _watch(processes, shared, stop)
        finally:
            _end(processes)


def _watch(processes: list[BaseProcess], shared: Shared, stop: threading.Event) -> None:
    born = {process.sentinel: time.monotonic() for process in processes}
    early = 0
    while not stop.is_set():
        wait([process.sentinel for process in processes], timeout=0.5)
        for index, process in enumerate(processes):
            if process.is_alive() or stop.is_set():
                continue
            early = early + 1 if time.monotonic() - born.pop(process.sentinel) < LEAST_LIFE else 0
            if process.exitcode == CANNOT_START or early > 1:
                raise Unavailable("A server process could not start.", hint="The lines before this one say why.")
            log.warning("server process %s ended (%s): starting another", process.pid, process.exitcode)
            processes[index] = _start(shared, index)
            born[processes[index].sentinel] = time.monotonic()


def _start(shared: Shared, slot: int) -> BaseProcess:
    shared[-1][slot] = ABSENT  # whoever had it before takes no connection any more
    process: BaseProcess = _processes.Process(target=_serve, args=(*shared, slot))
    # a signal that came between the fork and what the new process makes of signals would be lost
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _end(processes: list[BaseProcess]) -> None:
    for process in processes:
        if process.is_alive():
            process.terminate()
    give_up = time.monotonic() + GRACE + 5
    for process in processes:
        process.join(max(0.1, give_up - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join(5)


def _serve(
    settings: Settings,
    listener: socket.socket,
    pipe: Connection,
    parents: Connection,
    counts: MutableSequence[int],
    slot: int,
) -> None:
    parents.close()  # as long as one of us had it, nobody would notice that the parent is gone
    for sign in _STOPS:
        signal.signal(sign, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    logs.speak()
    threading.Thread(target=_leave_with_parent, args=(pipe,), name="parent", daemon=True).start()
    try:
        run(settings, listener, share=Share(counts, slot))
    except LockgateError as error:
        log.error("%s", error)  # its reason is the message; a traceback would say less
        os._exit(CANNOT_START)


def _leave_with_parent(pipe: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        pipe.recv_bytes()
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    before = {sig: signal.signal(sig, lambda *_: stop.set()) for sig in _STOPS}
    try:
        yield
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)
