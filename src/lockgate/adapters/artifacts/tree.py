"""Reading a folder of somebody else's files: every file hashed, no link followed, with limits."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lockgate.domain.errors import Unreadable
from lockgate.domain.manifest import Manifest, PinnedFile

CHUNK = 1 << 20  # bytes
_DEEPEST = 32  # folders inside folders
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# without NONBLOCK, opening a named pipe would wait for a writer for ever
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK

Sink = Callable[[str, Iterator[bytes]], None]
"""Takes a file's path in the folder and its bytes; it must read them to the end."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The folder at `parts` below `root`. `told` is how people know it."""

    root: Path
    parts: tuple[str, ...]
    told: str
    most_files: int = 100_000

    def read(self, sink: Sink) -> Manifest | None:
        """Give every file to the sink; the manifest of what was given, or None when there is no such folder.

        Raises Unreadable, naming the file, for a link, a special file, a name that is not UTF-8, too many
        files or folders too deep, and for whatever the disk refuses.
        """
        try:
            folder = self._open()
        except FileNotFoundError:
            return None
        try:
            pinned: list[PinnedFile] = []
            for path, file in self._files(folder, "", 0):
                if len(pinned) == self.most_files:
                    raise self._unreadable(f"hold more than {self.most_files:,} files")
                pinned.append(self._pin(path, file, sink))
            return Manifest.of(pinned)
        finally:
            os.close(folder)

    def _open(self) -> int:
        """Each folder is opened from the one above, so that no link can be slipped in between."""
        try:
            here = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unreadable(f"cannot be read: {error.strerror} ({self.root})") from None
        for part in self.parts:
            try:
                below = os.open(part, _FOLDER, dir_fd=here)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise self._cannot_open(part, here, error) from None
            finally:
                os.close(here)
            here = below
        return here

    def _files(self, folder: int, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
        if depth > _DEEPEST:
            raise self._unreadable(f"have folders more than {_DEEPEST} deep, at {prefix[:200]}")
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise self._unreadable(f"cannot be read: {error.strerror} ({prefix or 'the folder itself'})") from None
        for name in names:
            path = prefix + name
            if not _is_text(name):
                raise self._unreadable(f"have a file whose name is not UTF-8: {path!r}")
            opened = self._open_below(folder, name, path)
            try:
                if stat.S_ISDIR(os.fstat(opened).st_mode):
                    yield from self._files(opened, path + "/", depth + 1)
                else:
                    yield path, opened
            finally:
                os.close(opened)

    def _open_below(self, folder: int, name: str, path: str) -> int:
        try:
            opened = os.open(name, _FILE, dir_fd=folder)
        except OSError as error:
            raise self._cannot_open(name, folder, error, path) from None
        if not stat.S_ISDIR(kind := os.fstat(opened).st_mode) and not stat.S_ISREG(kind):
            os.close(opened)
            raise self._unreadable(f"hold something that is no file: {path}")
        return opened

    def _cannot_open(self, name: str, folder: int, error: OSError, path: str = "") -> Unreadable:
        try:
            is_link = stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        except OSError:
            is_link = False
        if is_link:
            return self._unreadable(f"hold a symbolic link, which could lead anywhere: {path or name}")
        return self._unreadable(f"cannot be read: {error.strerror} ({path or name})")

    def _pin(self, path: str, file: int, sink: Sink) -> PinnedFile:
        sha256 = hashlib.sha256()
        size = 0

        def chunks() -> Iterator[bytes]:
            nonlocal size
            try:
                while chunk := os.read(file, CHUNK):
                    sha256.update(chunk)
                    size += len(chunk)
                    yield chunk
            except OSError as error:
                raise self._unreadable(f"cannot be read: {error.strerror} ({path})") from None

        sink(path, chunks())
        return PinnedFile(path, size, sha256.hexdigest())

    def _unreadable(self, because: str) -> Unreadable:
        return Unreadable(f"The artifacts at {self.told} {because}.", hint="Log the model again as a new version.")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
