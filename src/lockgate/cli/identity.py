"""Who a process is: a pid alone may name a stranger by now, a pid with its start time may not."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LINUX = sys.platform.startswith("linux")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for all time: its pid and the mark of its start (ticks since boot, or the date as `ps` writes it)."""

    pid: int
    started: str

    @property
    def lives(self) -> bool:
        """Whether this very process is still there; one that ended and was not yet collected is not."""
        return started(self.pid) == self.started

    @property
    def command(self) -> str:
        """Its command line, empty when it is gone or hidden."""
        return command_line(self.pid)


def of(pid: int) -> Identity | None:
    """The process with that pid, None when there is none."""
    mark = started(pid)
    return None if mark is None else Identity(pid, mark)


def mine() -> Identity:
    """The process that asks."""
    mark = started(os.getpid())
    return Identity(os.getpid(), mark or "")


def started(pid: int) -> str | None:
    """The mark of a process's start, None when it is gone."""
    if LINUX:
        try:
            # the name in parentheses may itself hold spaces and parentheses
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, UnicodeDecodeError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    return _ps(pid, "lstart=") or None


def command_line(pid: int) -> str:
    """The command line of a process without the passwords of addresses in it, empty when it is gone or hidden."""
    from lockgate.config import without_passwords

    if not LINUX:
        return without_passwords(_ps(pid, "command="))
    try:
        told = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
    return without_passwords(told)


def listener(port: int) -> Identity | None:
    """The process that listens on a TCP port of this machine; None when nobody does or it belongs to another user."""
    pid = _listener_linux(port) if LINUX else _listener_lsof(port)
    return None if pid is None else of(pid)


def _ps(pid: int, column: str) -> str:
    asked = subprocess.run(
        ["ps", "-o", column, "-p", str(pid)], capture_output=True, text=True, check=False, timeout=10
    )
    return asked.stdout.strip()


def _listener_linux(port: int) -> int | None:
    inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening_inodes(table, port)}
    if not inodes:
        return None
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        with contextlib.suppress(OSError):
            for descriptor in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor.path) in inodes:
                        return pid
    return None


def _listening_inodes(table: str, port: int) -> list[str]:
    try:
        rows = [row.split() for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    except OSError:
        return []
    listening = "0A"
    return [row[9] for row in rows if row[3] == listening and int(row[1].rpartition(":")[2], 16) == port]


def _listener_lsof(port: int) -> int | None:
    try:
        asked = subprocess.run(
            ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-t"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    pids = [int(line) for line in asked.stdout.split() if line.isdigit()]
    return pids[0] if pids else None
