"""Artifacts pinned by copying them into a read-only cache named by their digest, wherever MLflow keeps them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from lockgate.adapters.artifacts import mlmodel
from lockgate.adapters.artifacts.blobs import Blobs
from lockgate.adapters.artifacts.locations import Folder, Root, find, root_of
from lockgate.adapters.artifacts.objects import S3, Prefix, Remembered
from lockgate.adapters.artifacts.reading import LIMITS, Fetch, HashOnly, Limits, Source
from lockgate.adapters.artifacts.tree import Tree
from lockgate.domain.errors import BadInput, LockgateError, Unavailable, Unreadable
from lockgate.domain.manifest import Manifest, PinnedFile, differences
from lockgate.usecases.artifact_ports import ModelFile

_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_UNFINISHED = ".pinning-"
_DAMAGED = ".damaged-"
_ABANDONED_AFTER_SECONDS = 24 * 3600.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class PinnedArtifacts:
    """Keeps the promises of `Artifacts`. `root` is what `--artifacts` names: a folder, or s3://bucket/prefix.

    A copy is a folder of hard links: files that several versions share are on the disk once.
    """

    def __init__(self, root: str, cache: Path, *, limits: Limits = LIMITS, s3: S3 | None = None) -> None:
        self._root: Root = root_of(root)
        self._cache = cache
        self._limits = limits
        self._s3 = s3 or S3()
        self._blobs = Blobs(cache)

    def pin(self, location: str) -> Manifest:
        """As in the port. What is copied is what was hashed, whatever happens to the source meanwhile."""
        source = self._source(location)
        if self.is_nothing(location):
            raise _nothing_there(location, is_missing=True)
        try:
            self._blobs.prepare()
            self._sweep()
            copy = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._cache))
            try:
                manifest = source.read(_Copy(copy, self._blobs))
                if manifest is None or not manifest.files:
                    raise _nothing_there(location, is_missing=manifest is None)
                _seal(copy)
                self._keep(copy, manifest)
            finally:
                _remove(copy)
        except OSError as error:
            raise self._cannot_write(location, error) from error
        return manifest

    def is_nothing(self, location: str) -> bool:
        """As in the port: told of folders of this machine, and of what is no place that files are read from."""
        try:
            place = find(location, self._root)
        except Unreadable:
            return True
        if not isinstance(place, Folder):
            return False
        try:
            place.root.joinpath(*place.parts).lstat()
        except FileNotFoundError:
            return True
        except (OSError, ValueError):
            return False  # `pin` says what is wrong there
        return False

    def check(self, location: str, pinned: Manifest) -> tuple[str, ...]:
        """As in the port."""
        found = self._source(location).read(HashOnly())
        return differences(pinned, found or Manifest(()))

    def model_file(self, location: str) -> ModelFile:
        """As in the port."""
        raw = self._source(location).read_one(mlmodel.NAME, mlmodel.LARGEST)
        if raw is None:
            raise Unreadable(
                f"There is no file MLmodel at {location}.", hint="Log the model with mlflow.<flavor>.log_model."
            )
        return mlmodel.read(raw, location)

    def folder(self, digest: str) -> Path:
        """As in the port. Raises BadInput when it is no digest."""
        if not _DIGEST.match(digest):
            raise BadInput(f"{digest!r} is not a digest.", hint="Expected is sha256: and 64 hexadecimal digits.")
        return self._cache / digest.replace(":", "-")

    def is_cached(self, digest: str) -> bool:
        """As in the port."""
        return self.folder(digest).is_dir()

    def _source(self, location: str) -> Source:
        place = find(location, self._root)
        if isinstance(place, Folder):
            return Tree(place.root, place.parts, location, self._limits)
        remembered = Remembered(self._cache / "objects")
        return Prefix(self._s3, place, location, remembered, self._limits, lambda size: self._room(location, size))

    def _room(self, location: str, size: int) -> None:
        """Raises Unavailable before anything is fetched that cannot all be kept, whatever of it is here already."""
        if not self._cache.is_dir():
            return
        free = shutil.disk_usage(self._cache).free
        if size > free + _size_of(self._cache / "blobs", at_most=size):
            raise self._full(location, f"{size:,} bytes")

    def _cannot_write(self, location: str, error: OSError) -> LockgateError:
        if error.errno in _FULL:
            return self._full(location, "more")
        return Unavailable(
            f"The artifact cache {self._cache} cannot be written: {error.strerror or error}.",
            hint="Give Lockgate's user the right to write there, then try again.",
        )

    def _full(self, location: str, needed: str) -> Unavailable:
        free = shutil.disk_usage(self._cache).free
        return Unavailable(
            f"There is no room for the artifacts at {location}: they need {needed}, and the disk of the artifact "
            f"cache {self._cache} has {free:,} bytes left.",
            hint="Make room there, then try again; what is whole already is kept.",
        )

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
        # not watched: another copy that shares a file is told from the inode, as a write would be
        copy = Tree(self._cache, (final.name,), str(final), _NO_LIMITS, watched=False)
        try:
            return copy.read(HashOnly()) == manifest
        except Unreadable:
            return False

    def _sweep(self) -> None:
        """Remove what a killed process left half-made a day ago, and files that no copy uses."""
        for entry in self._cache.iterdir():
            if entry.name.startswith((_UNFINISHED, _DAMAGED)):
                try:
                    age = time.time() - entry.stat().st_mtime
                except FileNotFoundError:
                    continue
                if age > _ABANDONED_AFTER_SECONDS:
                    _remove(entry)
        self._blobs.sweep(time.time())


_NO_LIMITS = Limits(files=1 << 40, bytes=1 << 62)


class _Copy:
    """A sink that makes a copy: each file a hard link to the blob with its bytes."""

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self._folder = folder
        self._blobs = blobs

    def take(self, path: str, fetch: Fetch, mark: str | None) -> PinnedFile:
        file = self._blobs.take(path, fetch, mark)
        self._link(file)
        return file

    def keep(self, file: PinnedFile) -> bool:
        if not self._blobs.has(file):
            return False
        self._link(file)
        return True

    def _link(self, file: PinnedFile) -> None:
        target = self._folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        blob = self._blobs.path(file.sha256)
        try:
            os.link(blob, target)
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EPERM, errno.ENOTSUP):
                raise
            # a file system without links, or with all the links a file can have
            shutil.copyfile(blob, target)
            target.chmod(0o444)


def _nothing_there(location: str, *, is_missing: bool) -> Unreadable:
    what = "There is no folder" if is_missing else "There is no file in the folder"
    return Unreadable(
        f"{what} at {location}.",
        hint="Its artifacts were deleted or never uploaded; log the model again as a new version.",
    )


def _size_of(folder: Path, *, at_most: int) -> int:
    """The bytes of all files below, counted no further than `at_most`."""
    total = 0
    for file in folder.glob("*/*"):
        total += file.stat().st_size
        if total >= at_most:
            break
    return total


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
