"""`python -m lockgate.worker.forkserver SECONDS`: imports the libraries once and forks programs that have them already.

Its standard input is the listening socket on which it is asked (see lockgate.wire.programs); it holds no other. It runs
no model and has one thread: a fork copies only the thread that calls it, and the locks of the others would stay locked.
It ends when nobody is connected any more, or after SECONDS in which it had nothing to do.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lockgate.wire.programs import LONGEST_PACKET, MOST_DESCRIPTORS, ForkAnswer, ForkOrder
from lockgate.worker.forked import become, settle
from lockgate.worker.local_sockets import is_same_user

# what serving and examining a model of the usual kind would import; what is not installed is left out
IMPORTED: tuple[str, ...] = (
    "mlflow.pyfunc.scoring_server",
    "mlflow.sklearn",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "skops.io",
    "uvloop",
    "pyarrow.json",
    "pyarrow.parquet",
    "pyarrow.json",
    "pyarrow.parquet",
    "lockgate.worker.__main__",
    "lockgate.worker.program",
    "lockgate.worker.engines.forest",
    "lockgate.worker.engines.linear",
    "lockgate.worker.engines.scikit_learn",
    "lockgate.worker.examine",
    "lockgate.worker.examine_formats",
    "lockgate.worker.examine_inputs",
    "lockgate.worker.examine_live",
    "lockgate.worker.examine_suite",
)
_FIRST_SECONDS = 10.0
_SETTLED_WITHIN_MILLISECONDS = 10_000


def main() -> int:
    """Import, greet, fork, until there is no more to do. Exit code 2: this was not started by Lockgate."""
    try:
        idle_seconds = float(sys.argv[1])
        listener = socket.socket(fileno=os.dup(0))
        listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except (IndexError, ValueError, OSError) as error:
        sys.stderr.write(f"This program is started by `lockgate agent` or `lockgate controller`. {error}\n")
        return 2
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    _import_all()
    born = Server(listener, idle_seconds).run()
    if born is not None:
        become(born)
    return 0


def _import_all() -> None:
    for name in IMPORTED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            sys.stderr.write(f"{name} is not imported beforehand: {error}\n")
    for warm_up in (_look_at_what_is_installed, _predict_once):
        with suppress(Exception):
            warm_up()
    gc.collect()
    # what is there now is shared with every program that is forked, as long as no collection writes to it
    gc.freeze()


def _look_at_what_is_installed() -> None:
    """MLflow compares what is installed with what a model was logged with, for which it reads every package's files.

    It remembers what it found, which is worth a third of a second in every program.
    """
    mlflow = sys.modules.get("mlflow.utils.requirements_utils")
    look = getattr(mlflow, "_init_packages_to_modules_map", None)
    if look is not None:
        look()


def _predict_once() -> None:
    """scikit-learn and pandas import a good part of what they need with the first prediction."""
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    rows = pd.DataFrame({"first": [0.0, 1.0], "second": [1.0, 0.0]})
    LinearRegression().fit(rows, [0.0, 1.0]).predict(rows)


@dataclass(slots=True, eq=False)
class _Client:
    """One connection, and the program it stands for once there is one. `line` is None when nobody asks any more."""

    line: socket.socket | None
    pid: int = 0
    held: int = -1


class Server:
    """Answers on `listener` until nobody is connected, or until nothing was to do for `idle_seconds`."""

    def __init__(self, listener: socket.socket, idle_seconds: float) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._idle_seconds = idle_seconds
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._clients: set[_Client] = set()
        self._asked_at = time.monotonic()
        self._greeted = False

    def run(self) -> ForkOrder | None:
        """Serve. In each forked program it returns that program's order; None when the server itself is done."""
        while not self._is_over():
            for key, _ in self._selector.select(1.0):
                if key.fileobj is self._listener:
                    self._greet()
                elif key.fileobj is key.data.line:
                    if (order := self._hear(key.data)) is not None:
                        return order
                else:
                    self._ended(key.data)
        return None

    def _is_over(self) -> bool:
        if any(client.pid and client.line is not None for client in self._clients):
            self._asked_at = time.monotonic()
        idle = time.monotonic() - self._asked_at
        if any(client.line is not None for client in self._clients):
            return idle > self._idle_seconds
        return self._greeted or idle > _FIRST_SECONDS

    def _greet(self) -> None:
        with suppress(OSError):
            line, _ = self._listener.accept()
            if not is_same_user(line):
                line.close()
                return
            line.setblocking(False)
            line.send(ForkAnswer(greeting=os.getpid()).encode())
            client = _Client(line)
            self._clients.add(client)
            self._selector.register(line, selectors.EVENT_READ, client)
            self._greeted = True
            self._asked_at = time.monotonic()

    def _hear(self, client: _Client) -> ForkOrder | None:
        """An order, or the end of the connection. Returns in the forked program only when there is one."""
        assert client.line is not None
        fds: list[int] = []
        try:
            raw, fds, _, _ = socket.recv_fds(client.line, LONGEST_PACKET, MOST_DESCRIPTORS)
        except BlockingIOError:
            return None
        except OSError:
            raw = b""
        if not raw or client.pid:
            _close(fds)
            self._let_go(client)
            return None
        self._asked_at = time.monotonic()
        try:
            order = ForkOrder.decode(raw)
            _allow(order, fds)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _close(fds)
            self._say(client, ForkAnswer(refused=f"{type(error).__name__}: {error}"))
            return None
        return self._fork(client, order, fds)

    def _fork(self, client: _Client, order: ForkOrder, fds: list[int]) -> ForkOrder | None:
        settled, settling = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            _close([*fds, settled, settling])
            self._say(client, ForkAnswer(error=(error.errno or 0, error.strerror or str(error))))
            return None
        if pid == 0:
            # everything of the server's stays referenced, or its end would close numbers that mean something else now
            _INHERITED.append(self)
            settle(order, fds, settling)
            return order
        _close([*fds, settling])
        trouble = _read_end(settled)
        if trouble is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._say(client, ForkAnswer(error=trouble))
            return None
        client.pid, client.held = pid, os.pidfd_open(pid)
        self._selector.register(client.held, selectors.EVENT_READ, client)
        self._say(client, ForkAnswer(pid=pid), client.held)
        return None

    def _ended(self, client: _Client) -> None:
        """A program is over. It stays a zombie, and its number its own, until whoever ordered it lets it go."""
        self._selector.unregister(client.held)
        if client.line is None:
            self._bury(client)
            return
        told = os.waitid(os.P_PID, client.pid, os.WEXITED | os.WNOWAIT)
        assert told is not None
        self._say(client, ForkAnswer(code=told.si_status if told.si_code == os.CLD_EXITED else -told.si_status))

    def _let_go(self, client: _Client) -> None:
        if client.line is not None:
            self._selector.unregister(client.line)
            client.line.close()
            client.line = None
        if not client.pid:
            self._clients.discard(client)
        elif _is_over(client.held):
            with suppress(KeyError):
                self._selector.unregister(client.held)
            self._bury(client)

    def _bury(self, client: _Client) -> None:
        os.waitpid(client.pid, 0)
        os.close(client.held)
        self._clients.discard(client)

    def _say(self, client: _Client, answer: ForkAnswer, *fds: int) -> None:
        """To somebody who is gone, or who does not read, nothing is said: the end of the connection tells the rest."""
        if client.line is not None:
            with suppress(OSError):
                socket.send_fds(client.line, [answer.encode()], fds)


_INHERITED: list[Any] = []


def _allow(order: ForkOrder, fds: Sequence[int]) -> None:
    """Raise ValueError for an order that is not carried out."""
    if not (order.module == "lockgate.worker" or order.module.startswith("lockgate.worker.")):
        raise ValueError(f"{order.module} is no program of the worker's room")
    if len(fds) != 2 + len(order.inherit) or any(number < 3 for number in order.inherit):
        raise ValueError(f"{len(fds)} descriptors came for {2 + len(order.inherit)} numbers")
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise ValueError(f"it has {threads} threads, and only what has one may fork")


def _read_end(pipe: int) -> tuple[int, str] | None:
    """What went wrong while a forked program settled in; None when nothing did. Takes the pipe."""
    try:
        if not select.select([pipe], [], [], _SETTLED_WITHIN_MILLISECONDS / 1000)[0]:
            return 0, "the forked program did not start in time"
        raw = os.read(pipe, 4096)
    finally:
        os.close(pipe)
    if not raw:
        return None
    number, _, text = raw.decode(errors="replace").partition(" ")
    return int(number), text


def _is_over(held: int) -> bool:
    return bool(select.select([held], [], [], 0)[0])


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


if __name__ == "__main__":
    sys.exit(main())
