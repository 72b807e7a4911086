"""Unix sockets in a worker's folder, by which the processes of one machine and one user talk to each other."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from lockgate.wire.sockets import address


def bound(folder: Path, name: str, kind: socket.SocketKind = socket.SOCK_STREAM, backlog: int = 16) -> socket.socket:
    """A listening socket that does not block, at `<folder>/<name>`. Raises OSError when there is one already."""
    listening = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
    try:
        with address(folder, name) as place:
            listening.bind(place)
        listening.listen(backlog)
    except OSError:
        listening.close()
        raise
    return listening


def connected(folder: Path, name: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A connection to `<folder>/<name>` that does not block. Raises OSError when nobody of this user listens there."""
    line = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
    try:
        with address(folder, name) as place:
            line.connect(place)
        if not is_same_user(line):
            raise PermissionError(f"another user listens at {folder}/{name}")
    except OSError:
        line.close()
        raise
    return line


def is_same_user(connection: socket.socket) -> bool:
    """Whether the process at the other end of a Unix connection runs as this one's user."""
    size = struct.calcsize("3i")
    told: tuple[int, int, int] = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return told[1] == os.getuid()
