"""Client connections that pass from one worker to another: their descriptor, and the bytes that were read already.

One packet is one connection: how often it changed models, the endpoint by whose port it came, and its unread bytes,
with the descriptor beside them (SCM_RIGHTS). The client notices nothing: same socket, same bytes, another process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
import struct
import time
from array import array
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from lockgate.wire.workers import CONNECTIONS_SOCKET
from lockgate.worker.local_sockets import bound, connected, is_same_user

_log = logging.getLogger("lockgate.worker")
MOST_BYTES = 96 * 1024  # of a request that go along; what a Unix socket takes at once by default is about twice that
_HEAD = struct.Struct("!BH")
_MOST_SWITCHES = 255
_MOST_GIVERS = 1024
_MOST_AT_ONCE = 64  # connections taken before the loop goes on with what it has
_WAIT_FOR_ROOM_SECONDS = 0.02
_LEAVE_ALONE_SECONDS = 1.0

Adopt = Callable[[socket.socket, bytes, str, int], None]
"""Takes a connection: its socket (not blocking, now the callee's to close), unread bytes, home, switches."""


class Giver:
    """The giving end: one lasting line to each worker that was given something."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: dict[Path, socket.socket] = {}
        self._not_before: dict[Path, float] = {}

    def give(self, folder: Path, connection: socket.socket, raw: bytes, home: str, switches: int) -> bool:
        """Send a connection to the worker of that folder. True: it is there, and the caller closes its own descriptor.

        False, and nothing has happened: nobody takes connections there, its queue stays full, or `raw` is longer
        than 96 KiB. A full queue is waited for 20 ms at most, and then not tried for a second.
        """
        name = home.encode()
        if len(raw) > MOST_BYTES or len(name) > 0xFFFF or not self.may_try(folder):
            return False
        packet = _HEAD.pack(min(switches, _MOST_SWITCHES), len(name)) + name + raw
        try:
            try:
                self._send(folder, packet, connection)
            except (ConnectionError, FileNotFoundError):
                self._forget(folder)
                self._send(folder, packet, connection)  # once more: the line may be of a worker that was replaced
        except OSError as error:
            _log.warning("a connection could not be handed to %s: %s", folder.name, error)
            self._forget(folder)
            self._not_before[folder] = self._clock() + _LEAVE_ALONE_SECONDS
            return False
        return True

    def may_try(self, folder: Path) -> bool:
        """Whether that worker did not refuse a connection within the last second."""
        return self._clock() >= self._not_before.get(folder, 0.0)

    def close(self) -> None:
        """Close every line."""
        for folder in list(self._lines):
            self._forget(folder)
        self._not_before.clear()

    def _send(self, folder: Path, packet: bytes, connection: socket.socket) -> None:
        line = self._lines.get(folder)
        if line is None:
            line = self._lines[folder] = connected(folder, CONNECTIONS_SOCKET, socket.SOCK_SEQPACKET)
        try:
            socket.send_fds(line, [packet], [connection.fileno()])
        except BlockingIOError:
            # the other worker is busy for a moment: hundreds of idle connections can come in one go
            waiting = select.poll()
            waiting.register(line, select.POLLOUT)
            waiting.poll(_WAIT_FOR_ROOM_SECONDS * 1000)
            socket.send_fds(line, [packet], [connection.fileno()])

    def _forget(self, folder: Path) -> None:
        line = self._lines.pop(folder, None)
        if line is not None:
            line.close()


class Taker:
    """The taking end of one worker."""

    def __init__(self, folder: Path, adopt: Adopt) -> None:
        self._folder = folder
        self._adopt = adopt
        self._listening: socket.socket | None = None
        self._lines: set[socket.socket] = set()

    def open(self) -> None:
        """Take connections from now on, on the running loop. Raises OSError when the socket is there already."""
        self._listening = bound(self._folder, CONNECTIONS_SOCKET, socket.SOCK_SEQPACKET, backlog=64)
        asyncio.get_running_loop().add_reader(self._listening.fileno(), self._accept)

    def close(self) -> None:
        """Take no more. What was sent and not taken yet is taken first, so that no client is left hanging."""
        loop = asyncio.get_running_loop()
        if self._listening is not None:
            self._accept()
            loop.remove_reader(self._listening.fileno())
            with suppress(OSError):
                (self._folder / CONNECTIONS_SOCKET).unlink()
            self._listening.close()
            self._listening = None
        for line in list(self._lines):
            while self._take_one(line):
                pass
            self._end(line)

    def _accept(self) -> None:
        while self._listening is not None:
            try:
                line, _ = self._listening.accept()
            except OSError:
                return  # nobody else waits
            line.setblocking(False)
            if len(self._lines) >= _MOST_GIVERS or not is_same_user(line):
                line.close()
                continue
            self._lines.add(line)
            asyncio.get_running_loop().add_reader(line.fileno(), self._take, line)

    def _take(self, line: socket.socket) -> None:
        for _ in range(_MOST_AT_ONCE):
            if not self._take_one(line):
                return

    def _take_one(self, line: socket.socket) -> bool:
        """Whether one was there."""
        try:
            packet, sent, flags, _ = line.recvmsg(_LONGEST, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self._end(line)
            return False
        if not packet:
            self._end(line)
            return False
        descriptors = _descriptors(sent)
        taken = _read(packet) if len(descriptors) == 1 and not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) else None
        if taken is None:
            # as many descriptors are open as this process may have, or it was not ours that wrote
            _log.error("what came in place of a connection cannot be used: %d descriptors", len(descriptors))
            for descriptor in descriptors:
                os.close(descriptor)
            return True
        connection = socket.socket(fileno=descriptors[0])
        connection.setblocking(False)
        self._adopt(connection, *taken)
        return True

    def _end(self, line: socket.socket) -> None:
        if line in self._lines:
            self._lines.discard(line)
            asyncio.get_running_loop().remove_reader(line.fileno())
            line.close()


_LONGEST = _HEAD.size + 0xFFFF + MOST_BYTES
_ANCILLARY = socket.CMSG_SPACE(4 * struct.calcsize("i"))


def _descriptors(sent: Iterable[tuple[int, int, bytes]]) -> list[int]:
    # not socket.recv_fds: in Python 3.11 it drops the flag that keeps them out of programs a model starts
    whole = [data for level, kind, data in sent if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)]
    return [number for data in whole for number in array("i", data[: len(data) - len(data) % 4])]


def _read(packet: bytes) -> tuple[bytes, str, int] | None:
    """Bytes, home and switches; None when it is no packet of a `Giver`."""
    if len(packet) < _HEAD.size:
        return None
    switches, length = _HEAD.unpack_from(packet)
    home = packet[_HEAD.size : _HEAD.size + length]
    if len(home) != length:
        return None
    return packet[_HEAD.size + length :], home.decode(errors="replace"), switches
