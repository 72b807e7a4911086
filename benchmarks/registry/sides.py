"""The servers that are measured: started on their own copy of the content, timed until they answer, weighed, ended."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

START_LIMIT = 180.0
STOP_LIMIT = 40.0
STOCK, LOCKGATE = "stock", "lockgate"
SINGLE = "single"  # Lockgate with one worker, beside one with more
QUIET, QUIET_LIMIT = 0.2, 60.0  # of a core; seconds that a server may take to become so


class DidNotStart(Exception):
    """A server ended, or stayed silent, before it answered. The last lines of its log are the message."""


@dataclass(slots=True)
class Side:
    """One running server and what starting it cost, in seconds."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    healthy: float = 0.0
    ready: float = 0.0

    def memory(self) -> tuple[int, int]:
        """The proportional set size of the whole process tree in MiB, and of how many processes it is the sum."""
        pids = tree(self.process.pid)
        return round(sum(pss(pid) for pid in pids) / 1024), len(pids)

    def settle(self, least: float) -> None:
        """Wait `least` seconds, and until every worker has loaded: the first one answers long before the last."""
        give_up = time.monotonic() + QUIET_LIMIT
        while True:
            before = sum(map(used, tree(self.process.pid)))
            time.sleep(least)
            if sum(map(used, tree(self.process.pid))) - before < QUIET * least or time.monotonic() > give_up:
                return


@contextlib.contextmanager
def stock(database: str, folder: Path, workers: int | None) -> Iterator[Side]:
    """`mlflow server` on a database; `workers` None is its default (four)."""
    folder.mkdir(parents=True)
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--host", "127.0.0.1"),
        *("--port", str(port), "--artifacts-destination", str(folder / "artifacts")),
        *(() if workers is None else ("--workers", str(workers))),
    ]
    # it would report its use to the outside, which is neither its registry's speed nor ours
    with _running(STOCK, command, folder, port, {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}) as side:
        yield side


@contextlib.contextmanager
def lockgate(database: str, folder: Path, workers: int, name: str = LOCKGATE) -> Iterator[Side]:
    """`lockgate up` on a database: server, controller and agent, built-in policy at observe, audit on."""
    folder.mkdir(parents=True)
    port, staging, production = (free_port() for _ in range(3))
    command = [
        *(sys.executable, "-P", "-m", "lockgate.cli", "up", "--home", str(folder / "home"), "--port", str(port)),
        *("--staging-port", str(staging), "--production-port", str(production)),
        *("--workers", str(workers)),
    ]
    with _running(name, command, folder, port, {"LOCKGATE_DATABASE": database} if database else {}) as side:
        yield side


@contextlib.contextmanager
def _running(name: str, command: Sequence[str], folder: Path, port: int, told: dict[str, str]) -> Iterator[Side]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "LOCKGATE_"))}
    log = folder / "log"
    with log.open("wb") as out:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=kept | told,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    side = Side(name, port, process, log)
    try:
        _until(side, "/health", "OK")
        side.healthy = time.monotonic() - began
        # a read of the registry says that it can do its work; stock answers /health only then
        _until(side, "/api/2.0/mlflow/registered-models/search?max_results=1", "")
        side.ready = time.monotonic() - began
        yield side
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a server and every process of its tree, by their own ids."""
    pids = tree(process.pid)
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_LIMIT)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(10)


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def pss(pid: int) -> int:
    """A process's proportional set size in KiB; 0 when it has gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def used(pid: int) -> float:
    """Seconds of processor time that a process has had; 0 when it has gone."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until(side: Side, path: str, body: str) -> None:
    give_up = time.monotonic() + START_LIMIT
    while time.monotonic() < give_up and side.process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", side.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status == 200 and answer.read().decode().startswith(body):
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)
        finally:
            connection.close()
    raise DidNotStart(f"{side.name} does not answer {path}:\n{side.log.read_text()[-3000:]}")
