"""The asking end of a worker's control socket."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from lockgate.wire.sockets import address
from lockgate.wire.workers import CONTROL_SOCKET, Command


class Unreachable(Exception):
    """The worker did not answer in time, or not at all."""


class ControlLine:
    """A lasting conversation with one worker; it is opened when first needed and again after a failure."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._line: socket.socket | None = None
        self._asked = 0
        self._waiting = b""

    def ask(self, command: Command, seconds: float, **more: Any) -> dict[str, Any]:
        """The worker's answer. Raises Unreachable after `seconds` of silence."""
        return self.hear(self.send(command, seconds, **more))

    def send(self, command: Command, seconds: float, **more: Any) -> int:
        """Put a question without waiting for its answer, which `hear` takes by the number that is returned.

        Raises Unreachable when the worker cannot be asked.
        """
        self._asked += 1
        try:
            line = self._line = self._line or _connected(self._folder, seconds)
            line.settimeout(seconds)
            line.sendall(json.dumps({"id": self._asked, "command": command.value, **more}).encode() + b"\n")
        except OSError as error:
            self.close()
            raise Unreachable(str(error)) from error
        return self._asked

    def hear(self, number: int) -> dict[str, Any]:
        """The answer to the question of that number. Raises Unreachable after as long a silence as was told then."""
        told, fds = self._answer(number)
        for extra in fds:
            os.close(extra)
        return told

    def take_listener(self, seconds: float) -> socket.socket | None:
        """A duplicate of the worker's listening socket, or None when it holds none any more."""
        _, fds = self._answer(self.send(Command.LISTENER, seconds))
        for extra in fds[1:]:
            os.close(extra)
        return socket.socket(fileno=fds[0]) if fds else None

    def close(self) -> None:
        """End the conversation."""
        if self._line is not None:
            self._line.close()
            self._line = None
            self._waiting = b""

    def _answer(self, number: int) -> tuple[dict[str, Any], list[int]]:
        fds: list[int] = []
        try:
            line = self._line
            if line is None:
                raise Unreachable("the conversation has ended")
            while True:
                while b"\n" not in self._waiting:
                    data, got, _, _ = socket.recv_fds(line, 65536, 4)
                    fds += got
                    if not data:
                        raise Unreachable("it hung up")
                    self._waiting += data
                raw, _, self._waiting = self._waiting.partition(b"\n")
                told: dict[str, Any] = json.loads(raw)
                if told.get("id") == number:  # else the late answer to a question that was given up
                    return told, fds
        except (OSError, ValueError, Unreachable) as error:
            self.close()
            for fd in fds:
                os.close(fd)
            raise Unreachable(str(error)) from error


def _connected(folder: Path, seconds: float) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.settimeout(seconds)
        with address(folder, CONTROL_SOCKET) as place:
            line.connect(place)
    except OSError:
        line.close()
        raise
    return line
