"""Files kept once each, named by their SHA-256: versions that share a file share its bytes on the disk."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterator
from io import BufferedRandom, BufferedReader
from pathlib import Path

from lockgate.adapters.artifacts.reading import CHUNK, Fetch
from lockgate.domain.manifest import PinnedFile

_ABANDONED_AFTER_SECONDS = 24 * 3600.0


class Blobs:
    """Two folders of the cache: whole files that are for reading only, and files on their way in."""

    def __init__(self, cache: Path) -> None:
        self._whole = cache / "blobs"
        self._incoming = cache / "incoming"

    def prepare(self) -> None:
        """Make both folders."""
        for folder in (self._whole, self._incoming):
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where a file of that content lies, if it is here."""
        return self._whole / sha256[:2] / sha256

    def has(self, file: PinnedFile) -> bool:
        """Whether its bytes are here, read again: one that somebody edited is thrown away."""
        path = self.path(file.sha256)
        try:
            with path.open("rb") as opened:
                if os.fstat(opened.fileno()).st_size == file.size and _hash(opened) == file.sha256:
                    return True
        except FileNotFoundError:
            return False
        path.unlink(missing_ok=True)
        return False

    def take(self, path: str, fetch: Fetch, mark: str | None) -> PinnedFile:
        """Read a file in. Under a mark, what an earlier attempt has read is kept and gone on from."""
        with self._opened(mark) as (incoming, file):
            sha256 = _so_far(file)
            size = file.tell()
            try:
                for chunk in fetch(size):
                    file.write(chunk)
                    sha256.update(chunk)
                    size += len(chunk)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                incoming.unlink(missing_ok=True)  # a full disk is not to be kept full
                raise
            except BaseException:
                if mark is None:
                    incoming.unlink(missing_ok=True)
                raise
            taken = PinnedFile(path, size, sha256.hexdigest())
            self._publish(incoming, file, taken)
        return taken

    def sweep(self, at: float) -> None:
        """Once a day: remove whole files that no copy uses any more, and what was left half-read a day ago.

        `at` is the time, in seconds since 1970.
        """
        swept = self._incoming / ".swept"
        with contextlib.suppress(FileNotFoundError):
            if at - swept.stat().st_mtime < _ABANDONED_AFTER_SECONDS:
                return
        swept.touch()
        old = at - _ABANDONED_AFTER_SECONDS
        for file in (*self._incoming.iterdir(), *self._whole.glob("*/*")):
            with contextlib.suppress(FileNotFoundError):
                found = file.stat()
                # a copy's file is a second name of the blob's
                if file != swept and found.st_nlink == 1 and found.st_mtime < old and found.st_ctime < old:
                    file.unlink()

    @contextlib.contextmanager
    def _opened(self, mark: str | None) -> Iterator[tuple[Path, BufferedRandom]]:
        """A file on its way in, which nobody else writes to."""
        incoming = self._incoming / (mark or uuid.uuid4().hex)
        while True:
            with incoming.open("ab+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not _is_named(file, incoming):
                    continue  # whoever held it before has finished it
                yield incoming, file
                return

    def _publish(self, incoming: Path, file: BufferedRandom, taken: PinnedFile) -> None:
        if self.has(taken):
            incoming.unlink()
            return
        os.fchmod(file.fileno(), 0o444)
        final = self.path(taken.sha256)
        final.parent.mkdir(exist_ok=True)
        os.replace(incoming, final)


def _is_named(file: BufferedRandom, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _so_far(file: BufferedRandom) -> hashlib._Hash:
    file.seek(0)
    sha256 = hashlib.sha256()
    while chunk := file.read(CHUNK):
        sha256.update(chunk)
    return sha256


def _hash(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()
