"""The first administrator, whom a start with `--users` makes: the one-time password is shown once, and never logged."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockgate.config import Settings

NAME = "admin"
FILE = "first-password"
OPEN = (
    "Open mode: nobody has to log in, and every name is taken as it is claimed and marked unverified.\n"
    "  first user: lockgate users add NAME"
)
_LINE = re.compile(r"^people: (?P<there>yes|no) ?(?P<one_time>\S*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether there are people, and the one-time password of the administrator that this start made."""

    people: bool
    one_time: str | None = None

    def line(self) -> str:
        """How `prepare` tells it to the `up` that started it."""
        return f"people: {'yes' if self.people else 'no'} {self.one_time or ''}".rstrip()

    @classmethod
    def read(cls, said: str) -> Standing | None:
        """What `line` wrote, if it is in there."""
        found = _LINE.search(said)
        return cls(found["there"] == "yes", found["one_time"] or None) if found else None

    def tell(self, home: Path, say: Callable[[str, str], object]) -> None:
        """Say that nobody has to log in, or hand the password over where a person sees it; nothing otherwise.

        What is printed without a terminal is somebody's log: the password then goes to a file only its owner reads.
        """
        if not self.people:
            say("open-mode", OPEN)
        if self.one_time is None:
            return
        if sys.stdout.isatty():
            where = f"  one-time password: {self.one_time}"
        else:
            where = f"  one-time password: in {_kept(self.one_time, home)}; delete that file when you have read it"
        say(
            "first-admin",
            f"Users are on. The first administrator:\n  name: {NAME}\n{where}\n"
            f"Replace it before anything else: MLFLOW_TRACKING_USERNAME={NAME} MLFLOW_TRACKING_PASSWORD=… "
            "lockgate users password",
        )


def refuse_open(settings: Settings) -> None:
    """Raise BadInput when others could reach a server without users; nothing is made or changed before that."""
    if settings.reachable_by:
        from lockgate import wiring

        wiring.refuse_open(settings)


def found(settings: Settings) -> Standing:
    """Make an administrator if `--users` asks for one and there is nobody yet.

    Raises BadInput when there is nobody, and others than this machine could reach the server.
    """
    from lockgate import wiring

    return Standing(*wiring.first_admin(settings, NAME))


def _kept(one_time: str, home: Path) -> Path:
    file = home / FILE
    file.unlink(missing_ok=True)  # whoever could read an older one reads no new one
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as private:
        private.write(f"{one_time}\n")
    return file
