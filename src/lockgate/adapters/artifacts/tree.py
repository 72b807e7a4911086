"""Reading a folder of somebody else's files: every file hashed, no link followed, with limits."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lockgate.adapters.artifacts.reading import (
    CHUNK,
    DEEPEST,
    LIMITS,
    Count,
    Limits,
    Sink,
    changed,
    too_large,
    unreadable,
)
from lockgate.domain.errors import Unreadable
from lockgate.domain.manifest import Manifest, PinnedFile

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# without NONBLOCK, opening a named pipe would wait for a writer for ever
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
# MLflow's server writes an upload to such a file and renames it when it is whole
_UPLOADING = ".artifact.uploading."

_Stamp = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Tree:
    """The folder at `parts` below `root`. `told` is how people know it; `watched` says that nobody may write there."""

    root: Path
    parts: tuple[str, ...]
    told: str
    limits: Limits = LIMITS
    watched: bool = True

    def read(self, sink: Sink) -> Manifest | None:
        """As in the port: besides for a link, a special file, a name that is not UTF-8, or too much of anything,
        it raises Unreadable when somebody writes there meanwhile, since half of two models is none.
        """
        try:
            folder = self._open()
        except FileNotFoundError:
            return None
        try:
            count, pinned = Count(self.told, self.limits), []
            seen: dict[str, _Stamp] = {}
            for path, file in self._files(folder, "", 0):
                seen[path] = stamp = _stamp(file)
                count.add(stamp[2])
                pinned.append(self._read(path, file, stamp[2], sink))
                if self.watched and _stamp(file) != stamp:
                    raise changed(self.told, path)
            if self.watched:
                self._compare(seen, {path: _stamp(file) for path, file in self._files(folder, "", 0)})
            return Manifest.of(pinned)
        finally:
            os.close(folder)

    def read_one(self, name: str, most: int) -> bytes | None:
        """As in the port."""
        try:
            folder = self._open()
        except FileNotFoundError:
            return None
        try:
            if name not in os.listdir(folder):
                return None
            opened = self._open_below(folder, name, name)
        finally:
            os.close(folder)
        try:
            if stat.S_ISDIR(os.fstat(opened).st_mode):
                raise self._unreadable(f"have a folder where a file belongs: {name}")
            with os.fdopen(opened, "rb", closefd=False) as file:
                found = file.read(most + 1)
        except OSError as error:
            raise self._unreadable(f"cannot be read: {error.strerror} ({name})") from None
        finally:
            os.close(opened)
        if len(found) > most:
            raise too_large(self.told, name, most)
        return found

    def _compare(self, before: dict[str, _Stamp], after: dict[str, _Stamp]) -> None:
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) != after.get(path):
                raise changed(self.told, path)

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
        if depth > DEEPEST:
            raise self._unreadable(f"have folders more than {DEEPEST} deep, at {prefix[:200]}")
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise self._unreadable(f"cannot be read: {error.strerror} ({prefix or 'the folder itself'})") from None
        for name in names:
            if name.startswith(_UPLOADING):
                continue
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
        if isinstance(error, FileNotFoundError):
            return changed(self.told, path or name)
        return self._unreadable(f"cannot be read: {error.strerror} ({path or name})")

    def _read(self, path: str, file: int, size: int, sink: Sink) -> PinnedFile:
        def chunks(offset: int) -> Iterator[bytes]:
            try:
                os.lseek(file, offset, os.SEEK_SET)
                while chunk := os.read(file, CHUNK):
                    offset += len(chunk)
                    if offset > size:  # it could grow for ever
                        raise changed(self.told, path)
                    yield chunk
            except OSError as error:
                raise self._unreadable(f"cannot be read: {error.strerror} ({path})") from None

        # no mark: its bytes must be read for their hash in any case
        return sink.take(path, chunks, None)

    def _unreadable(self, because: str) -> Unreadable:
        return unreadable(self.told, because)


def _stamp(file: int) -> _Stamp:
    """What changes when somebody writes: the last of these cannot be set back."""
    found = os.fstat(file)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
