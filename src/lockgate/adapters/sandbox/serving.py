"""The real worker with the model under test, on a free port of the loopback, for as long as one examination lasts."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lockgate.adapters.sandbox.program import Program
from lockgate.domain.manifest import Manifest, PinnedFile
from lockgate.domain.serving import GroupState
from lockgate.domain.validation import ExamineRequest
from lockgate.usecases.program_ports import Programs
from lockgate.wire.sockets import address
from lockgate.wire.workers import CONTROL_SOCKET, STATUS_FILE, Command, WorkerConfig, WorkerStatus

_HOST = "127.0.0.1"
_CONTROL_SECONDS = 5.0
_CACHED = re.compile(r"^sha256-([0-9a-f]{64})$")


class Serving:
    """A worker that was started and may become ready. `end` must be called, whatever happens."""

    def __init__(self, programs: Programs, request: ExamineRequest, scratch: Path) -> None:
        self._folder = scratch
        with socket.create_server((_HOST, 0), backlog=512) as listener:
            self._port: int = listener.getsockname()[1]
            fd = listener.fileno()
            self.program = Program(programs, "lockgate.worker", (), scratch, inherit=(fd,), python=request.runtime)
            self.program.tell(self._config(request, fd).encode())
            self.program.tell_no_more()

    def look(self) -> dict[str, Any] | None:
        """`{"port": …}` as soon as it takes traffic, `{"because": …}` when it never will, None while it starts."""
        if self.program.ended:
            return {"because": self._why()}
        told = self._ask(Command.HELLO)
        if told is None or told.get("state") == GroupState.STARTING.value:
            return None
        if told.get("state") == GroupState.READY.value:
            told = self._ask(Command.GO)
        if told is not None and told.get("ok") and told.get("state") == GroupState.SERVING.value:
            return {"port": self._port}
        return None  # it failed: it will have ended when it is looked at again

    def end(self) -> None:
        """Kill the worker and all that it started."""
        self.program.end()

    def _config(self, request: ExamineRequest, listener_fd: int) -> WorkerConfig:
        return WorkerConfig(
            worker="validation",
            endpoint="validation",
            release="validation",
            generation=0,
            model=request.ref.model,
            version=request.ref.version,
            digest=_digest(Path(request.artifacts)),
            artifacts=request.artifacts,
            folder=str(self._folder),
            host=_HOST,
            port=self._port,
            listener_fd=listener_fd,
            timeout_seconds=max(1.0, request.time_limit.total_seconds()),
        )

    def _why(self) -> str:
        try:
            because = WorkerStatus.decode((self._folder / STATUS_FILE).read_bytes()).because
        except (OSError, ValueError, TypeError):
            because = ""
        self.program.read_output()
        return because or f"it ended with {self.program.how_it_ended()}. {self.program.last_words()}".strip()

    def _ask(self, command: Command) -> dict[str, Any] | None:
        """One question; None when it cannot be asked yet."""
        try:
            with (
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control,
                address(self._folder, CONTROL_SOCKET) as place,
            ):
                control.settimeout(_CONTROL_SECONDS)
                control.connect(place)
                control.sendall(json.dumps({"id": 1, "command": command.value}).encode() + b"\n")
                return _line(control.recv)
        except (OSError, ValueError):
            return None


def _line(receive: Callable[[int], bytes]) -> dict[str, Any] | None:
    waiting = b""
    while not waiting.endswith(b"\n"):
        chunk = receive(4096)
        if not chunk or len(waiting) > 64 * 1024:
            return None
        waiting += chunk
    told = json.loads(waiting)
    return told if isinstance(told, dict) else None


def _digest(folder: Path) -> str:
    """The digest that the worker must find: the one the folder is named by, so that an edited copy is noticed.

    A folder outside the cache has no such name, and is hashed.
    """
    if named := _CACHED.match(folder.name):
        return f"sha256:{named[1]}"
    files = (path for path in folder.rglob("*") if path.is_file())
    return Manifest.of(_pinned(path, folder) for path in files).digest


def _pinned(path: Path, folder: Path) -> PinnedFile:
    with path.open("rb") as file:
        return PinnedFile(
            path.relative_to(folder).as_posix(), path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
        )
