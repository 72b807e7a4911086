"""The socket on which the owner of a worker asks and commands: JSON lines, same user only."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lockgate.wire.workers import CONTROL_SOCKET, Command
from lockgate.worker.local_sockets import bound, is_same_user

_LONGEST_LINE = 1024 * 1024  # it may name every worker of an environment

Answer = dict[str, Any]
Handler = Callable[[Command, dict[str, Any]], Answer | Awaitable[Answer]]


class Control:
    """The listening end. `handle` gives the answers, `listener` the socket that the `listener` command sends along.

    What `handle` answers at once goes out at once, from the loop's own callback: the agent waits for it in a cutover,
    and another turn of a busy worker's loop is a millisecond.
    """

    def __init__(self, folder: Path, handle: Handler, listener: Callable[[], socket.socket | None]) -> None:
        self._handle = handle
        self._listener = listener
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket = bound(folder, CONTROL_SOCKET)

    async def serve(self) -> None:
        """Answer for ever. Every connection is its own conversation."""
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._socket)
            connection.setblocking(False)
            if is_same_user(connection):
                loop.add_reader(connection.fileno(), self._read, connection, bytearray())
            else:
                connection.close()

    def _read(self, connection: socket.socket, waiting: bytearray) -> None:
        try:
            data = connection.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""  # the other end is gone, which is its right
        waiting += data
        if not data or len(waiting) > _LONGEST_LINE:
            _end(connection)
            return
        *lines, rest = waiting.split(b"\n")
        waiting[:] = rest
        for line in lines:
            with _ended_by_failure(connection):
                self._answer(connection, bytes(line))

    def _answer(self, connection: socket.socket, line: bytes) -> None:
        question = command = None
        try:
            asked: dict[str, Any] = json.loads(line)
            question = asked["id"]
            command = Command(asked["command"])
            told = self._handle(command, asked)
        except (ValueError, KeyError, TypeError) as error:
            told = {"ok": False, "because": f"not a command: {error}"}
        if isinstance(told, dict):
            self._say(connection, question, told, command)
            return
        task = asyncio.ensure_future(self._say_later(connection, question, told, command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say_later(
        self, connection: socket.socket, question: Any, told: Awaitable[Answer], command: Command | None
    ) -> None:
        with _ended_by_failure(connection):
            self._say(connection, question, await told, command)

    def _say(self, connection: socket.socket, question: Any, told: Answer, command: Command | None) -> None:
        if connection.fileno() < 0:
            return  # it has ended meanwhile
        answer = json.dumps({"id": question, **told}).encode() + b"\n"
        listener = self._listener() if command is Command.LISTENER else None
        try:
            if listener is not None:
                socket.send_fds(connection, [answer], [listener.fileno()])
            else:
                connection.sendall(answer)
        except OSError:
            _end(connection)  # who does not read its answers either


@contextmanager
def _ended_by_failure(connection: socket.socket) -> Iterator[None]:
    """Whoever asked hears at once that there will be no answer."""
    try:
        yield
    except BaseException:
        _end(connection)
        raise


def _end(connection: socket.socket) -> None:
    if connection.fileno() >= 0:
        asyncio.get_running_loop().remove_reader(connection.fileno())
        connection.close()
