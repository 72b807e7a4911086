"""The folder of one installation: its logs, and which processes run for it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockgate.cli.identity import Identity
from lockgate.domain.errors import BadInput, Conflict

UP = "up"
CHILDREN = ("server", "controller", "agent")


@dataclass(frozen=True, slots=True)
class Home:
    """`path` is absolute. Files under `run/` name processes; each is believed only after its identity is checked."""

    path: Path

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, role: str) -> Path:
        """Where a process of that role writes what it prints."""
        return self.logs / f"{role}.log"

    def prepare(self) -> None:
        """Make the folders, open to their owner alone. Raises BadInput when that cannot be done."""
        try:
            for folder in (self.path, self.run, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise BadInput(
                f"{self.path} cannot be used as home: {error.strerror}.",
                hint="Give a folder you own: lockgate up --home DIR.",
            ) from None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the home as the one `up` that runs for it. Raises Conflict naming the other one.

        The hold ends with this process, however it ends.
        """
        with (self.run / "up.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                other = self.recorded(UP)
                raise Conflict(
                    f"Lockgate already runs for {self.path}" + (f" (pid {other.pid})." if other else "."),
                    hint=f"Stop it with: lockgate down --home {self.path}, or give another --home and --port.",
                ) from None
            yield

    def record(self, role: str, identity: Identity, **more: Any) -> None:
        """Note that this process runs in that role."""
        file = self.run / f"{role}.json"
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps({"pid": identity.pid, "started": identity.started, **more}))
        os.replace(fresh, file)

    def recorded(self, role: str) -> Identity | None:
        """The process noted in that role, None when it is gone or the pid is a stranger's now."""
        told = self.told(role)
        try:
            identity = Identity(int(told["pid"]), str(told["started"]))
        except (KeyError, TypeError, ValueError):
            return None
        return identity if identity.lives and "lockgate" in identity.command else None

    def told(self, role: str) -> dict[str, Any]:
        """What was noted for that role, empty when nothing was."""
        try:
            told = json.loads((self.run / f"{role}.json").read_text())
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def forget(self, role: str) -> None:
        """Remove the note; none there is fine."""
        (self.run / f"{role}.json").unlink(missing_ok=True)

    def tail(self, role: str, lines: int = 12) -> str:
        """The last lines of a role's log, for the person who has to find out why it died."""
        try:
            return "\n".join(self.log(role).read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""
