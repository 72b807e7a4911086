"""The processes `up` starts: kept alive with a growing pause between attempts, and ended with it, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lockgate.cli import identity
from lockgate.cli.home import Home
from lockgate.cli.identity import Identity

CHILD = "--child"
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
STABLE_AFTER = 60.0
STOP_LIMIT = 20.0
KILL_LIMIT = 5.0
LOG_LIMIT = 20 * 1024 * 1024

# what a child may know of the environment: how to find programs and files, how to speak, and where artifacts lie
_PASSED = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP"),
        *("VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "no_proxy", "BOTO_CONFIG"),
    )
)
_PASSED_PREFIXES = (
    *("LC_", "PYTHON", "COVERAGE_", "COV_", "LOCKGATE_", "MLFLOW_", "AWS_", "AZURE_", "GOOGLE_"),
    *("OMP_", "OPENBLAS_"),
)

_KEYS = (
    *("AWS_", "AZURE_", "GOOGLE_", "BOTO_", "MLFLOW_TRACKING_", "MLFLOW_S3_"),
    *("MLFLOW_CRYPTO_", "MLFLOW_WEBHOOK_SECRET_", "LOCKGATE_TOKEN", "LOCKGATE_JOBS_TOKEN"),
    "LOCKGATE_CHECKPOINT_KEY",
)


def environment(told: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: what is listed above of `told`, and `more`."""
    passed = {name: value for name, value in told.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}
    return {**passed, **more}


def without_keys(told: Mapping[str, str]) -> dict[str, str]:
    """The environment of one that reads no artifact store and no secret: the agent starts what others have copied."""
    return {name: value for name, value in told.items() if not name.startswith(_KEYS)}


@dataclass(slots=True)
class Child:
    """One process that is to run: its role, its command line, and how often it died lately."""

    role: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    deaths: int = 0
    resume_at: float | None = None


@dataclass(slots=True)
class Children:
    """All of them. The standard input of each is a pipe whose writing end only this process holds.

    When this process is gone, even by kill -9, that input ends and so do they.
    """

    home: Home
    said: Callable[[str, str], None]
    all: dict[str, Child] = field(default_factory=dict)
    _pipe: tuple[int, int] = field(default_factory=os.pipe)

    def start(self, role: str, arguments: Sequence[str], told: Mapping[str, str]) -> Child:
        """Start a process in that role, in a session of its own: Ctrl-C in a terminal is ours to pass on."""
        child = Child(role, arguments, told)
        self.all[role] = child
        self._launch(child)
        return child

    def look(self) -> None:
        """Note who died and start again whoever paused long enough."""
        now = time.monotonic()
        for child in self.all.values():
            if child.process is not None and child.process.poll() is not None:
                self._mourn(child, child.process.returncode, now)
            elif child.process is None and child.resume_at is not None and now >= child.resume_at:
                self._launch(child)

    def stop(self) -> None:
        """Ask all to end, wait with a limit, then kill. Afterwards none of them runs."""
        alive = [child.process for child in self.all.values() if child.process and child.process.poll() is None]
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        end = time.monotonic() + STOP_LIMIT
        for process in alive:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(KILL_LIMIT)
        for role in self.all:
            self.home.forget(role)
        self.all.clear()

    def _launch(self, child: Child) -> None:
        log = self.home.log(child.role)
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            os.replace(log, log.with_suffix(".log.1"))
        command = [sys.executable, "-P", "-m", "lockgate.cli", child.role, *child.arguments, CHILD]
        with log.open("ab") as output:
            child.process = subprocess.Popen(
                command, stdin=self._pipe[0], stdout=output, stderr=output, env=dict(child.environment),
                start_new_session=True,
            )  # fmt: skip
        child.began, child.resume_at = time.monotonic(), None
        found = identity.of(child.process.pid)
        if found is not None:
            self.home.record(child.role, found)

    def _mourn(self, child: Child, code: int, now: float) -> None:
        child.deaths = 1 if now - child.began > STABLE_AFTER else child.deaths + 1
        pause = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** (child.deaths - 1))
        child.process, child.resume_at = None, now + pause
        self.said(
            child.role,
            f"{child.role} ended ({_how(code)}); it starts again in {pause:g} s. Its log: {self.home.log(child.role)}",
        )


def end(process: Identity, limit: float = STOP_LIMIT) -> bool:
    """Ask a process that is no child of ours to end, kill it after `limit` seconds; whether it is gone."""
    for number, patience in ((signal.SIGTERM, limit), (signal.SIGKILL, KILL_LIMIT)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # a moment before a signal is the time to make sure that it does not reach a stranger
            if process.lives:
                os.kill(process.pid, number)
        if _is_gone(process, patience):
            return True
    return False


def _is_gone(process: Identity, patience: float) -> bool:
    until = time.monotonic() + patience
    while process.lives:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def watch_parent(leave: Callable[[], None]) -> None:
    """Call `leave` in a thread as soon as standard input ends: the process that holds its other end is gone."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        leave()

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _how(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
