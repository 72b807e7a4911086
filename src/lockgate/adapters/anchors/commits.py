"""Checkpoints as commits of a git repository on this machine, which somebody else pulls from or pushes on."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime
from pathlib import Path

from lockgate.domain.errors import Unavailable

LIMIT_SECONDS = 30
FILE = "lockgate-checkpoint.txt"
_IDENTITY = {
    "GIT_AUTHOR_NAME": "lockgate",
    "GIT_AUTHOR_EMAIL": "lockgate@localhost",
    "GIT_COMMITTER_NAME": "lockgate",
    "GIT_COMMITTER_EMAIL": "lockgate@localhost",
    "GIT_TERMINAL_PROMPT": "0",
}
# nothing of the repository's own runs: hooks, signing, editors, a monitor of files
_PLAIN = (
    *("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false", "-c", "core.fsmonitor=false"),
    *("-c", "core.editor=false", "-c", "gc.auto=0"),
)


class GitAnchor:
    """`Anchor`: the newest checkpoint in one file of the repository, and a commit for each; no other file changes."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository

    @property
    def place(self) -> str:
        return f"git:{self._repository.as_uri().removeprefix('file:')}"

    def put(self, note: str, size: int, at: datetime) -> None:
        """Commit it; what is there already is no new commit."""
        if not (self._repository / ".git").exists():
            raise Unavailable(
                f"{self._repository} is no git repository with a work tree.",
                hint=f"Make one: git init {self._repository}",
            )
        try:
            (self._repository / FILE).write_text(note, encoding="utf-8")
        except OSError as error:
            raise Unavailable(f"{self._repository / FILE} cannot be written: {error.strerror}.", hint="") from None
        self._git("add", "--", FILE)
        if self._git("status", "--porcelain", "--", FILE):
            stamp = at.isoformat(timespec="seconds")
            self._git("commit", "--quiet", "--no-verify", "-m", f"checkpoint {size} of {stamp}", "--", FILE)

    def _git(self, *arguments: str) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | _IDENTITY
        command = ("git", "-C", str(self._repository), *_PLAIN, *arguments)
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except FileNotFoundError:
            raise Unavailable("There is no program git.", hint="Install git where the controller runs.") from None
        except subprocess.TimeoutExpired:
            raise Unavailable(f"git {arguments[0]} took longer than {LIMIT_SECONDS} s.", hint="") from None
        if done.returncode:
            said = next(iter((done.stderr or done.stdout).strip().splitlines()), f"it ended with {done.returncode}")
            raise Unavailable(f"git {arguments[0]} in {self._repository} failed: {said[:200]}", hint="")
        return done.stdout.strip()
