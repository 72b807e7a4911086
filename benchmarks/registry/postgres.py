"""The PostgreSQL of the benchmark: the one named in the environment, or one of its own for as long as it runs."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

NAMED = "LOCKGATE_BENCH_POSTGRES"
START_LIMIT = 60.0


class NoPostgres(Exception):
    """There is no PostgreSQL to measure on."""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URI of a server, without a database: its user may make databases. Settings are the release's defaults.

    Raises NoPostgres when none is named and none is installed.
    """
    named = os.environ.get(NAMED)
    if named:
        yield named.rstrip("/")
        return
    binaries = _binaries()
    owner = _owner()
    folder = Path(tempfile.mkdtemp(prefix="lockgate-bench-pg-"))
    try:
        if owner is not None:
            shutil.chown(folder, owner)
        data = folder / "data"
        _run(owner, str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "bench", "-E", "UTF8", "--no-sync")
        port = _free_port()
        more = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=300"
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(data), *more.split()],
                user=owner,
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        try:
            _until_it_answers(port, process)
            yield f"postgresql://bench@127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)  # TERM would wait for every client to leave by itself
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def release(server: str) -> str:
    """What it calls itself, for the record: `PostgreSQL 15.8`."""
    import psycopg

    with psycopg.connect(f"{server}/postgres") as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return f"PostgreSQL {str(row[0]).split()[0]}" if row else "PostgreSQL"


def _binaries() -> Path:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise NoPostgres(
        f"No PostgreSQL is installed. Name one that may be written to: {NAMED}=postgresql://USER@HOST:PORT"
    )


def _owner() -> str | None:
    # PostgreSQL refuses to run as root
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoPostgres("PostgreSQL does not run as root, and there is no account `postgres` or `nobody` to run it as.")


def _run(owner: str | None, *command: str) -> None:
    subprocess.run(command, check=True, user=owner, capture_output=True, timeout=120, cwd="/")


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    give_up = time.monotonic() + START_LIMIT
    while True:
        try:
            psycopg.connect(f"postgresql://bench@127.0.0.1:{port}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > give_up:
                raise NoPostgres(f"PostgreSQL does not start: {error}") from None
            time.sleep(0.05)
        else:
            return
