"""One JSON line for every request that was answered, where somebody wants them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from lockgate.worker.http.messages import Answer, Request

_FLUSH_SECONDS = 0.2
_MOST_WAITING = 20_000
_LONGEST_PATH = 500


class AccessLog:
    """Collects lines and writes them a few times a second: a write for each would hold the loop up.

    What comes faster than it can be written is dropped, and a line says how many. Queries, headers and bodies are not
    in it.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._lines: list[bytes] = []
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: Request, answer: Answer, client: str) -> None:
        """Note one answer, now."""
        if len(self._lines) >= _MOST_WAITING:
            self._dropped += 1
            return
        told = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request": request.id.decode("latin-1"),
            "client": client,
            "method": request.method.decode("latin-1"),
            "path": request.path[:_LONGEST_PATH].decode("latin-1"),
            "status": answer.status,
            "bytes_in": len(request.body),
            "bytes_out": len(answer.body),
            "seconds": round(time.monotonic() - request.began, 6),
        }
        self._lines.append(json.dumps(told).encode() + b"\n")
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if self._dropped:
            lines.append(json.dumps({"dropped": self._dropped}).encode() + b"\n")
            self._dropped = 0
        if not lines:
            return
        try:
            self._write(b"".join(lines))
        except OSError:  # the disk is full: answers go on
            self._dropped += len(lines)
