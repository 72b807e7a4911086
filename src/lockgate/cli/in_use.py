"""Who still uses a database, as far as that can be seen from here: a home's own processes, and open files or sessions.

Best effort: a process of another account, or on another machine with an SQLite file, is not seen.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lockgate.cli import identity
from lockgate.cli.home import CHILDREN, UP, Home

if TYPE_CHECKING:
    from lockgate.usecases.doctor import Database

# agents leave a sign of life every second, and leases are for 15 s at most
SILENT = timedelta(seconds=30)


def users(home: Home, database: str, found: Database) -> list[str]:
    """Each one in words; none when nobody was seen."""
    seen = [f"{role} (pid {who.pid}) of {home.path}" for role in (UP, *CHILDREN) if (who := home.recorded(role))]
    if database.startswith("sqlite"):
        told = {who.pid for role in (UP, *CHILDREN) if (who := home.recorded(role))}
        path = Path(database.partition("://")[2].partition("?")[0].removeprefix("/"))
        seen += [f"process {pid} ({command[:80]})" for pid, command in _holders(path) if pid not in told]
    if found.ours.last_seen is not None and datetime.now(UTC) - found.ours.last_seen < SILENT:
        ago = max(0, round((datetime.now(UTC) - found.ours.last_seen).total_seconds()))
        seen.append(f"a process that left a sign of life in its tables {ago} s ago")
    return seen


def _holders(path: Path) -> Iterator[tuple[int, str]]:
    """Processes of Lockgate's, in whatever home, that have the file open."""
    if not identity.LINUX:
        return
    target = path.resolve()
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        if pid != os.getpid() and _holds(pid, target):
            command = identity.command_line(pid)
            if "lockgate" in command:
                yield pid, command


def _holds(pid: int, target: Path) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") == str(target):
                    return True
    return False
