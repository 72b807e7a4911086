"""What the files in a model's folder hash to, now."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lockgate.domain.manifest import Manifest, PinnedFile


def manifest_of(folder: Path) -> Manifest:
    """Every file under `folder` with its size and SHA-256. Raises OSError when one cannot be read."""
    return Manifest.of(_pinned(path, folder) for path in sorted(folder.rglob("*")) if path.is_file())


def _pinned(path: Path, folder: Path) -> PinnedFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return PinnedFile(path.relative_to(folder).as_posix(), path.stat().st_size, sha256)
