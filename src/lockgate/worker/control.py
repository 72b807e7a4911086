"""The socket on which the owner of a worker asks and commands: JSON lines, same user only."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lockgate.wire.workers import CONTROL_SOCKET, Command
from lockgate.worker.local_sockets import bound, is_same_user

_log = logging.getLogger("lockgate.worker")
_LONGEST_LINE = 1024 * 1024  # it may name every worker of an environment

Handler = Callable[[Command, dict[str, Any]], Awaitable[dict[str, Any]]]


class Control:
    """The listening end. `handle` gives the answers, `listener` the socket that the `listener` command sends along."""

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
            task = loop.create_task(self._converse(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _converse(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with connection:
            if not is_same_user(connection):
                return
            waiting = b""
            try:
                while data := await loop.sock_recv(connection, 4096):
                    waiting += data
                    if len(waiting) > _LONGEST_LINE:
                        return
                    *lines, waiting = waiting.split(b"\n")
                    for line in lines:
                        await self._answer(connection, line)
            except OSError:
                return  # the other end is gone, which is its right

    async def _answer(self, connection: socket.socket, line: bytes) -> None:
        loop = asyncio.get_running_loop()
        question = None
        listener = None
        try:
            asked: dict[str, Any] = json.loads(line)
            question = asked["id"]
            command = Command(asked["command"])
            told = await self._handle(command, asked)
            listener = self._listener() if command is Command.LISTENER else None
        except (ValueError, KeyError, TypeError) as error:
            told = {"ok": False, "because": f"not a command: {error}"}
        answer = json.dumps({"id": question, **told}).encode() + b"\n"
        if listener is not None:
            socket.send_fds(connection, [answer], [listener.fileno()])
        else:
            await loop.sock_sendall(connection, answer)
