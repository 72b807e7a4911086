"""Starts the real server in a process of its own, and stops it by its pid."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

START_LIMIT = 90.0
SERVE = """
import sys
from lockgate import wiring
from lockgate.config import load
from lockgate.domain.errors import LockgateError
from lockgate.domain.identity import Who
from lockgate.server.main import serve
home, port, policy, workers = sys.argv[1:]
told = {"home": home, "port": int(port), "policy": policy or None, "workers": int(workers), "transition_wait": 2}
settings = load(told)
if __name__ == "__main__":
    try:
        wiring.prepare(settings)
        if policy:
            wiring.apply_policy_file(settings, Who("tests"))
        serve(settings)
    except LockgateError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
"""


@dataclass(frozen=True)
class Running:
    url: str
    home: Path
    process: subprocess.Popen[bytes]
    log: Path


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawn(
    folder: Path, *, port: int, policy: str = "", workers: int = 1, more: Mapping[str, str] | None = None
) -> Running:
    """Start the server, with `more` in its environment; it may not be ready yet."""
    folder.mkdir(parents=True, exist_ok=True)
    script, log = folder / "serve.py", folder / "server.log"
    script.write_text(SERVE)
    policy_file = folder / "lockgate.yaml"
    if policy:
        policy_file.write_text(policy)
    told = [str(folder / "home"), str(port), str(policy_file) if policy else "", str(workers)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "LOCKGATE_"))}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(script), *told], stdout=out, stderr=out, env={**kept, **(more or {})}
        )
    return Running(f"http://localhost:{port}", folder / "home", process, log)


def stop(running: Running) -> int:
    """End it by TERM, or by KILL when it stays; its exit code."""
    running.process.terminate()
    try:
        return running.process.wait(60)
    except subprocess.TimeoutExpired:
        running.process.kill()
        return running.process.wait(10)


@contextlib.contextmanager
def server(
    folder: Path, *, policy: str = "", workers: int = 1, more: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """A server that is ready; stopped at the end of the block."""
    running = spawn(folder, port=free_port(), policy=policy, workers=workers, more=more)
    try:
        began = time.monotonic()
        until_answers(running, "/health")
        print(f"first answer of /health after {time.monotonic() - began:.2f} s")
        until_answers(running, "/ready")
        yield running
    finally:
        stop(running)


def until_answers(running: Running, path: str) -> None:
    """Wait until that path answers 200; fail with the log when the process ends first."""
    give_up = time.monotonic() + START_LIMIT
    while time.monotonic() < give_up:
        if running.process.poll() is not None:
            break
        try:
            urllib.request.urlopen(running.url + path, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"{path} does not answer:\n{running.log.read_text()}")
