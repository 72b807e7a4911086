"""Artifacts on this machine's disk: pinned by copying them into a read-only cache named by their digest."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from lockgate.adapters.artifacts.locations import below_root
from lockgate.adapters.artifacts.tree import Tree
from lockgate.domain.errors import BadInput, Unavailable, Unreadable
from lockgate.domain.manifest import Manifest, differences

_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_UNFINISHED = ".pinning-"
_DAMAGED = ".damaged-"
_ABANDONED_AFTER_SECONDS = 24 * 3600.0


class LocalArtifacts:
    """Keeps the promises of `Artifacts` for the folder that the server proxies as its artifact root."""

    def __init__(self, artifact_root: Path, cache: Path, *, most_files: int = 100_000) -> None:
        self._root = artifact_root
        self._cache = cache
        self._most_files = most_files

    def pin(self, location: str) -> Manifest:
        """As in the port. What is copied is what was hashed, whatever happens to the source meanwhile."""
        source = self._source(location)
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            self._sweep()
            copy = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._cache))
            try:
                manifest = source.read(lambda path, chunks: _write(copy / path, chunks))
                if manifest is None or not manifest.files:
                    raise _nothing_there(location, is_missing=manifest is None)
                _seal(copy)
                self._keep(copy, manifest)
            finally:
                _remove(copy)
        except OSError as error:
            raise Unavailable(
                f"The artifact cache {self._cache} cannot be written: {error.strerror or error}.",
                hint="Make room or give Lockgate's user the right to write there, then try again.",
            ) from error
        return manifest

    def check(self, location: str, pinned: Manifest) -> tuple[str, ...]:
        """As in the port."""
        found = self._source(location).read(_read_only)
        return differences(pinned, found or Manifest(()))

    def folder(self, digest: str) -> Path:
        """As in the port. Raises BadInput when it is no digest."""
        if not _DIGEST.match(digest):
            raise BadInput(f"{digest!r} is not a digest.", hint="Expected is sha256: and 64 hexadecimal digits.")
        return self._cache / digest.replace(":", "-")

    def is_cached(self, digest: str) -> bool:
        """As in the port."""
        return self.folder(digest).is_dir()

    def _source(self, location: str) -> Tree:
        return Tree(self._root, below_root(location, self._root), location, self._most_files)

    def _keep(self, copy: Path, manifest: Manifest) -> None:
        final = self.folder(manifest.digest)
        # twice: whoever else pins the same digest may win the race for the name, and what they put there is checked
        for _ in range(2):
            try:
                copy.rename(final)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            else:
                _sync_folder(self._cache)
                return
            if self._is_whole(final, manifest):
                return
            # a copy that somebody edited must not be served under the digest of what was approved
            damaged = Path(tempfile.mkdtemp(prefix=_DAMAGED, dir=self._cache))
            try:
                final.rename(damaged / "was")
            except FileNotFoundError:
                pass  # somebody else moved it away first
            finally:
                _remove(damaged)
        if not self._is_whole(final, manifest):
            raise Unavailable(f"The cached copy {final} keeps changing.", hint="Find out what writes to the cache.")

    def _is_whole(self, final: Path, manifest: Manifest) -> bool:
        try:
            return Tree(self._cache, (final.name,), str(final), self._most_files).read(_read_only) == manifest
        except Unreadable:
            return False

    def _sweep(self) -> None:
        """Remove what a killed process left half-made a day ago."""
        for entry in self._cache.iterdir():
            if entry.name.startswith((_UNFINISHED, _DAMAGED)):
                try:
                    age = time.time() - entry.stat().st_mtime
                except FileNotFoundError:
                    continue
                if age > _ABANDONED_AFTER_SECONDS:
                    _remove(entry)


def _nothing_there(location: str, *, is_missing: bool) -> Unreadable:
    what = "There is no folder" if is_missing else "There is no file in the folder"
    return Unreadable(
        f"{what} at {location}.",
        hint="Its artifacts were deleted or never uploaded; log the model again as a new version.",
    )


def _write(path: Path, chunks: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), 0o444)


def _read_only(_path: str, chunks: Iterator[bytes]) -> None:
    deque(chunks, maxlen=0)


def _seal(folder: Path) -> None:
    for here, _, _ in os.walk(folder, topdown=False):
        Path(here).chmod(0o555)
        _sync_folder(Path(here))


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _remove(folder: Path) -> None:
    """Remove a tree, read-only folders included; one that is gone already is no error."""
    for here, _, _ in os.walk(folder):
        Path(here).chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
