"""Our worker, run directly: the program that an agent starts, told the same things, with no control plane around it."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.serving import processes
from benchmarks.serving.environments import ROOT
from lockgate.wire.workers import CONTROL_SOCKET, Command, WorkerConfig
from lockgate.worker.artifacts import manifest_of

ANSWER_LIMIT = 30.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Worker:
    """One worker of one model: a process, and the socket on which it is asked and commanded."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._folder = folder

    def ask(self, command: Command) -> dict[str, Any]:
        """Its answer; without one yet, an empty one."""
        with socket.socket(socket.AF_UNIX) as control, contextlib.suppress(OSError):
            control.settimeout(ANSWER_LIMIT)
            control.connect(str(self._folder / CONTROL_SOCKET))
            control.sendall(json.dumps({"id": 1, "command": command.value}).encode() + b"\n")
            told: dict[str, Any] = json.loads(control.makefile().readline() or "{}")
            return told
        return {}

    def wait_until(self, state: str, seconds: float) -> str:
        """Its state when it is that one, has ended, or the time is over."""
        give_up = time.monotonic() + seconds
        seen = ""
        while seen != state and self.process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.02)
            seen = str(self.ask(Command.HELLO).get("state", seen))
        return seen


@contextlib.contextmanager
def worker(
    model: Path, folder: Path, engine: str, log: Path, converted: tuple[str, str] = ("", "")
) -> Iterator[tuple[int, Worker]]:
    """A worker of the pinned model in a folder, not yet taking traffic, and the port it will take it at.

    `converted` is an ONNX file with its digest. Leaving the block ends it.
    """
    group = folder / "groups" / "benchmark" / model.name / "release-1"
    for one in (folder / "scratch", group):
        one.mkdir(parents=True)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        port = int(listener.getsockname()[1])
        config = WorkerConfig(
            worker="worker-1",
            endpoint=f"benchmark/{model.name}",
            environment="benchmark",
            release="release-1",
            generation=1,
            model=model.name,
            version=1,
            digest=manifest_of(model).digest,
            artifacts=str(model),
            folder=str(folder),
            group=str(group),
            host="127.0.0.1",
            port=port,
            listener_fd=listener.fileno(),
            engine=engine,
            converted=converted[0],
            converted_digest=converted[1],
        )
        process = processes.start(
            [sys.executable, "-P", "-u", "-m", "lockgate.worker"],
            folder / "scratch",
            log,
            {**_ONE_THREAD, "PYTHONPATH": str(ROOT / "src"), "HOME": str(folder / "scratch")},
            stdin=subprocess.PIPE,
            pass_fds=(listener.fileno(),),
        )
    try:
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(config.encode())
        yield port, Worker(process, folder)
    finally:
        processes.end(process)
