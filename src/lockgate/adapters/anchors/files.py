"""Checkpoints appended to a file: best one that Lockgate's account can only add to, on another disk or machine."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from lockgate.domain.errors import Unavailable


class FileAnchor:
    """`Anchor`: one JSON object a line, with `size`, `at` and the `note`. The file is made when it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def place(self) -> str:
        return self._path.as_uri()

    def put(self, note: str, size: int, at: datetime) -> None:
        """Append it and see it on the disk."""
        line = json.dumps({"size": size, "at": at.isoformat(), "note": note}) + "\n"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                # one write, so that two controllers never mix their lines
                if os.write(descriptor, line.encode()) != len(line.encode()):
                    raise OSError("the disk is full")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Unavailable(
                f"{self._path} cannot be written: {error.strerror or error}.",
                hint="The controller's account must be able to append to it.",
            ) from None
