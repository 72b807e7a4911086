"""An artifact store in memory that keeps the promises of `Artifacts`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from lockgate.domain.errors import BadInput, Unreadable
from lockgate.domain.manifest import Manifest, PinnedFile, differences
from lockgate.usecases.artifact_ports import ModelFile


class ArtifactsInMemory:
    """Put files at a location with `put`, edit or remove them with `change`; nothing touches a disk.

    `folder` names a folder that does not exist: no use case looks inside.
    """

    def __init__(self) -> None:
        self._sources: dict[str, dict[str, bytes]] = {}
        self._cached: set[str] = set()

    def put(self, location: str, files: dict[str, bytes] | None = None) -> None:
        """Make files exist at a location; one small MLmodel file by default."""
        self._sources[location] = dict(files if files is not None else {"MLmodel": location.encode()})

    def change(self, location: str, path: str, content: bytes | None) -> None:
        """Write one file at the source, or remove it with None."""
        if content is None:
            self._sources[location].pop(path, None)
        else:
            self._sources[location][path] = content

    def pin(self, location: str) -> Manifest:
        """As in the port."""
        manifest = self._look(location)
        if not manifest.files:
            raise Unreadable(
                f"There is no file in the folder at {location}.", hint="Log the model again as a new version."
            )
        self._cached.add(manifest.digest)
        return manifest

    def is_nothing(self, location: str) -> bool:
        """As in the port."""
        return location not in self._sources

    def check(self, location: str, pinned: Manifest) -> tuple[str, ...]:
        """As in the port."""
        return differences(pinned, self._look(location) if location in self._sources else Manifest(()))

    def model_file(self, location: str) -> ModelFile:
        """As in the port. An MLmodel that is JSON may have a signature; another one has none."""
        raw = self._sources.get(location, {}).get("MLmodel")
        if raw is None:
            raise Unreadable(f"There is no file MLmodel at {location}.", hint="Log the model again.")
        told = json.loads(raw) if raw.startswith(b"{") else {}
        return ModelFile(told.get("signature"), f"sha256:{hashlib.sha256(raw).hexdigest()}")

    def folder(self, digest: str) -> Path:
        """As in the port."""
        if not digest.startswith("sha256:"):
            raise BadInput(f"{digest!r} is not a digest.", hint="Expected is sha256: and 64 hexadecimal digits.")
        return Path("/cache") / digest.replace(":", "-")

    def is_cached(self, digest: str) -> bool:
        """As in the port."""
        return digest in self._cached

    def _look(self, location: str) -> Manifest:
        if location not in self._sources:
            raise Unreadable(f"There is no folder at {location}.", hint="Log the model again as a new version.")
        files = self._sources[location].items()
        return Manifest.of(PinnedFile(path, len(body), hashlib.sha256(body).hexdigest()) for path, body in files)
