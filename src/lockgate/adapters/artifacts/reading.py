"""What every kind of artifact store has in common: where its files go, and what is too much."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from lockgate.domain.errors import Unreadable
from lockgate.domain.manifest import Manifest, PinnedFile

CHUNK = 1 << 20  # bytes
DEEPEST = 32  # folders inside folders
LONGEST_NAME = 255  # bytes, as on every disk
LOG_AGAIN = "Log the model again as a new version."

Fetch = Callable[[int], Iterator[bytes]]
"""The bytes of one file from an offset on; they must be read to the end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most files and bytes that one version may have."""

    files: int = 100_000
    bytes: int = 200 * 2**30


LIMITS = Limits()


class Sink(Protocol):
    """Where the files of a version go as they are read."""

    def take(self, path: str, fetch: Fetch, mark: str | None) -> PinnedFile:
        """Read the file and say what it is. An interrupted reading under the same `mark` may be gone on with."""

    def keep(self, file: PinnedFile) -> bool:
        """Whether a file of which all is known need not be read: its bytes are here already."""


class Source(Protocol):
    """One version's files where MLflow keeps them."""

    def read(self, sink: Sink) -> Manifest | None:
        """Give every file to the sink; what they are, or None when there is nothing at all.

        Raises Unreadable with the reason and the file's name.
        """

    def read_one(self, name: str, most: int) -> bytes | None:
        """One file of the folder itself, None when it is not there. Raises Unreadable, also when it has more bytes."""


class HashOnly:
    """A sink that keeps nothing."""

    def take(self, path: str, fetch: Fetch, mark: str | None) -> PinnedFile:  # noqa: ARG002 - the port's
        """Hash it from its beginning."""
        sha256, size = hashlib.sha256(), 0
        for chunk in fetch(0):
            sha256.update(chunk)
            size += len(chunk)
        return PinnedFile(path, size, sha256.hexdigest())

    def keep(self, file: PinnedFile) -> bool:  # noqa: ARG002 - the port's
        """What is known need not be read."""
        return True


@dataclass(slots=True)
class Count:
    """Counts what is read against the limits. `told` is how people know the place."""

    told: str
    limits: Limits
    files: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """One more file of that size. Raises Unreadable when it is one too many, or too large."""
        self.files += 1
        self.bytes += size
        if self.files > self.limits.files:
            raise unreadable(self.told, f"hold more than {self.limits.files:,} files")
        if self.bytes > self.limits.bytes:
            raise Unreadable(
                f"The artifacts at {self.told} are larger than {self.limits.bytes:,} bytes.",
                hint="Make the model smaller, or raise LOCKGATE_MODEL_LIMIT.",
            )


def unreadable(told: str, because: str, hint: str = LOG_AGAIN) -> Unreadable:
    """The artifacts cannot be read because they …"""
    return Unreadable(f"The artifacts at {told} {because}.", hint=hint)


def too_large(told: str, path: str, most: int) -> Unreadable:
    """A file that is read as a whole is larger than any that would make sense."""
    return unreadable(told, f"have a file {path} of more than {most:,} bytes")


def changed(told: str, path: str) -> Unreadable:
    """Somebody wrote there in the meantime."""
    because = f"changed while they were read: {path[:200]}"
    return unreadable(told, because, "Wait until whoever writes there is done, then ask again.")
