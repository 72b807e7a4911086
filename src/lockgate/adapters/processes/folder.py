"""The files of the workers under the run folder.

`<run>/<id>/` is one worker's: `worker.json` (who it is), `control.sock`, `status.json` (why it failed) and `scratch/`
(its home). `<run>/logs/` keeps what the newest ones wrote. Everything is for the owner's eyes only.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lockgate.wire.workers import STATUS_FILE, WorkerStatus

_RECORD = "worker.json"
_LOGS = "logs"
_LOGS_KEPT = 50
_LOG_TAIL = 4096


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """Who a worker is, so that an agent that did not start it can find it."""

    id: str
    pid: int
    started: int
    endpoint: str
    release: str
    generation: int
    log: str


class RunFolder:
    """The folder in which workers leave their traces."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for folder in (path, path / _LOGS):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)

    def new_worker(self) -> tuple[str, Path]:
        """An unused worker id and its folder."""
        name = "w" + secrets.token_hex(5)
        folder = self.path / name
        (folder / "scratch").mkdir(parents=True, mode=0o700)
        folder.chmod(0o700)
        return name, folder

    def new_log(self, name: str) -> Path:
        """An empty log file; the oldest ones make room."""
        logs = sorted((self.path / _LOGS).iterdir(), key=lambda path: path.stat().st_mtime)
        for old in logs[: max(0, len(logs) - _LOGS_KEPT + 1)]:
            old.unlink(missing_ok=True)
        path = self.path / _LOGS / f"{name}.log"
        path.touch(mode=0o600)
        return path

    def write(self, record: WorkerRecord) -> None:
        """Keep a record, whole or not at all."""
        path = self.path / record.id / _RECORD
        whole = path.with_suffix(".tmp")
        whole.write_text(json.dumps(asdict(record)))
        os.replace(whole, path)

    def records(self) -> Iterator[WorkerRecord]:
        """Every worker on record. A folder without a readable record belongs to no worker that was told to serve."""
        for folder in sorted(self.path.iterdir()):
            if folder.name == _LOGS or not folder.is_dir():
                continue
            try:
                yield WorkerRecord(**json.loads((folder / _RECORD).read_text()))
            except (OSError, ValueError, TypeError):
                self.remove(folder.name)

    def failure(self, worker: str) -> str:
        """Why a worker said it failed, or empty when it did not say."""
        with suppress(OSError, ValueError, TypeError):
            return WorkerStatus.decode((self.path / worker / STATUS_FILE).read_bytes()).because
        return ""

    def remove(self, worker: str) -> None:
        """Delete a worker's files, except its log."""
        shutil.rmtree(self.path / worker, ignore_errors=True)


def last_words(log: str) -> str:
    """The last line a worker wrote, at most 200 characters."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_TAIL))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")
