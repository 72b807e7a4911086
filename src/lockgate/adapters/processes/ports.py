"""Listening sockets, and who holds a port that is taken."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

from lockgate.domain.errors import Unavailable

_BACKLOG = 4096
_LISTENING = "0A"


def open_listener(host: str, port: int) -> socket.socket:
    """A listening socket on `host:port` (port 0: any free one).

    Raises Unavailable, naming the process that holds the port or the reason the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # accepted connections inherit it, in whatever process accepts them
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind((host.strip("[]"), port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise Unavailable(
                f"Port {port} is taken by {owner_of(port)}.", hint="End that process or choose another port."
            ) from error
        raise Unavailable(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.", hint="Check host and port."
        ) from error
    return listening


def owner_of(port: int) -> str:
    """The process that listens on a local TCP port, for a person: its pid and command line."""
    inodes = _listening_inodes(port)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if inodes & _sockets_of(Path("/proc", pid, "fd")):
            return f"process {pid} ({command_line(int(pid))})"
    return "a process that this user may not see"


def command_line(pid: int) -> str:
    """What the process was started with, at most 200 characters."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "ended meanwhile"
    return " ".join(word.decode(errors="replace") for word in words).strip()[:200]


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _sockets_of(folder: Path) -> set[str]:
    found = set()
    with suppress(OSError):
        for number in os.listdir(folder):
            # one that is closed meanwhile says nothing about the others
            with suppress(OSError):
                found.add(os.readlink(folder / number))
    return found
