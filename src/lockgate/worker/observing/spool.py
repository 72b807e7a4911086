"""Rows on their way into Parquet: lines of JSON first, a whole Parquet file later.

A line that was written stays when the process is killed. A Parquet file is there whole or not at all, and carries the
name of the spool it was made of: making it twice makes it once.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lockgate.wire.predictions import COLUMNS, FEEDBACK, PARQUET, SPOOL, SPOOLED, days_folder

_log = logging.getLogger("lockgate.worker")
LARGEST = 32 * 1024 * 1024  # of a spool, before it becomes a Parquet file
OLDEST_SECONDS = 900.0
LEAST_FREE = 512 * 1024 * 1024  # of the disk: nothing is kept when less is left


class Full(OSError):
    """The disk has too little room left to keep anything."""


class Spool:
    """The open spool of one kind of rows. For one thread."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder = folder
        self._kind = kind
        self._day = ""
        self._path: Path | None = None
        self._file = -1
        self._size = 0
        self._began = 0.0

    @property
    def due(self) -> float | None:
        """When it is to become a Parquet file, by the monotonic clock; None while it is empty."""
        return self._began + OLDEST_SECONDS if self._path else None

    def write(self, day: str, lines: Sequence[bytes]) -> None:
        """Add rows of one day (`2026-11-23`). They outlive this process from here on, and labels the machine too.

        Raises OSError when the disk does not take them, Full when too little of it is left.
        """
        if self._path is None or day != self._day or self._size >= LARGEST:
            self.settle()
            self._open(day)
        if shutil.disk_usage(self._folder).free < LEAST_FREE:
            raise Full(f"less than {LEAST_FREE // 2**20} MiB of the disk are free")
        raw = b"".join(lines)
        before = self._size
        try:
            while raw:
                written = os.write(self._file, raw)
                self._size += written
                raw = raw[written:]
            if self._kind == FEEDBACK:
                os.fsync(self._file)  # whoever told a label hears that it is kept
        except OSError:
            os.ftruncate(self._file, before)  # half a line would spoil the next
            self._size = before
            raise

    def settle(self) -> None:
        """Make a Parquet file of what there is. A failure is logged: the spool stays and is tried again later."""
        path, self._path = self._path, None
        if path is not None:
            try:
                _convert(path)
            finally:
                os.close(self._file)

    def _open(self, day: str) -> None:
        folder = self._folder / SPOOL
        _make(folder)
        name = f"{self._kind}.{day}.{secrets.token_hex(8)}{SPOOLED}"
        fresh = folder / f".{name}"
        self._file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        # locked before others see it: to them a spool without a lock is a dead worker's
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh.rename(folder / name)
        _to_disk(folder)
        self._path, self._day, self._size, self._began = folder / name, day, 0, time.monotonic()


def settle_what_is_left(folder: Path) -> None:
    """Make Parquet files of the spools that workers left which are gone."""
    for path in sorted((folder / SPOOL).glob(f"*{SPOOLED}")):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists():  # nobody else was faster
                    _convert(path)
        except OSError:  # a living worker's, or gone
            continue


def forget(folder: Path, days: int, today: datetime) -> None:
    """Remove the files of days that are more than `days` before today."""
    oldest = (today - timedelta(days=days)).strftime("%Y-%m-%d")
    for kind in COLUMNS:
        for place in (folder / kind).glob("day=*"):
            if place.name.removeprefix("day=") < oldest:
                shutil.rmtree(place, ignore_errors=True)


def day_of(seconds: float) -> str:
    """The day of a moment told in seconds since 1970, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _convert(path: Path) -> None:
    """Put the rows of a spool into the Parquet file of the same name, and remove it."""
    import pyarrow.parquet

    kind, day, name = path.name.removesuffix(SPOOLED).split(".")
    place = days_folder(path.parent.parent, kind, day)
    fresh, whole = place / f".{name}{PARQUET}", place / f"{name}{PARQUET}"
    try:
        raw = path.read_bytes()
        raw = raw[: raw.rfind(b"\n") + 1]  # the last line of a killed worker may be half a one
        if raw:
            _make(place)
            pyarrow.parquet.write_table(_table(kind, raw), fresh, compression="zstd")
            fresh.chmod(0o600)
            _to_disk(fresh)
            fresh.replace(whole)
            _to_disk(place)
        path.unlink(missing_ok=True)
    except (OSError, pyarrow.ArrowException) as error:
        _log.warning("logged rows could not be put into a Parquet file, %s keeps them: %s", path, error)


def _table(kind: str, raw: bytes) -> Any:
    import pyarrow
    import pyarrow.json

    types = {
        "time": pyarrow.int64(),
        "text": pyarrow.large_string(),
        "int": pyarrow.int32(),
        "float": pyarrow.float64(),
    }
    schema = pyarrow.schema([(column, types[what]) for column, what in COLUMNS[kind]])
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(raw))
    parsing = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    # read and written without the interpreter's lock: the loop goes on meanwhile
    table = pyarrow.json.read_json(pyarrow.BufferReader(raw), reading, parsing)
    moment = pyarrow.timestamp("us", tz="UTC")
    return table.select(schema.names).set_column(0, "time", table["time"].cast(moment))


def _make(folder: Path) -> None:
    """Make a folder and those above it, for this account alone: `mkdir` opens those above it to all."""
    for each in (*reversed(folder.parents), folder):
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)


def _to_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
