"""The files of a version's artifacts, each with its size and SHA-256, and what has changed since they were pinned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lockgate.domain.canonical import digest


@dataclass(frozen=True, slots=True, order=True)
class PinnedFile:
    """One artifact file: path relative to the model's folder with `/`, size in bytes, hexadecimal SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every file of one version, sorted by path."""

    files: tuple[PinnedFile, ...]

    @classmethod
    def of(cls, files: Iterable[PinnedFile]) -> Manifest:
        return cls(tuple(sorted(files)))

    @property
    def digest(self) -> str:
        """The digest of the whole: it changes when any path, size or byte does."""
        return digest([[file.path, file.size, file.sha256] for file in self.files])

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(file.size for file in self.files)


def differences(pinned: Manifest, found: Manifest) -> tuple[str, ...]:
    """What a person needs to hear: `changed model.pkl`, `missing MLmodel`, `added x.py`; empty when equal."""
    before = {file.path: file for file in pinned.files}
    after = {file.path: file for file in found.files}
    told = []
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            told.append(f"missing {path}")
        elif path not in before:
            told.append(f"added {path}")
        elif before[path] != after[path]:
            told.append(f"changed {path}")
    return tuple(told)
