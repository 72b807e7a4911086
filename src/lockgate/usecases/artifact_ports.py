"""What the use cases need of artifact stores and of the place where somebody's model is tried out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lockgate.domain.manifest import Manifest
from lockgate.domain.validation import Examination, ExamineRequest
from lockgate.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What a version's MLmodel says: its signature's parts as MLflow writes them (JSON texts), None without one."""

    signature: Mapping[str, str | None] | None
    sha256: str


class Artifacts(Protocol):
    """The files of versions where MLflow keeps them, and our own read-only copies named by their digest."""

    def pin(self, location: str) -> Manifest:
        """Hash every file while copying it into the cache. Safe to repeat, also at the same moment elsewhere.

        Raises Unreadable with the reason when there is nothing that can be pinned.
        """

    def is_nothing(self, location: str) -> bool:
        """Whether `pin` is certain to find nothing there, as far as that can be told in a moment."""

    def check(self, location: str, pinned: Manifest) -> tuple[str, ...]:
        """What has changed at the source since `pinned`, one line a file; empty when nothing has.

        Files that are gone are named as missing. Raises Unreadable when the location cannot be looked at.
        """

    def model_file(self, location: str) -> ModelFile:
        """The version's MLmodel as it lies there now: that one small file is read, and nothing is kept of it.

        Raises Unreadable when it is not there, too large, or none that MLflow writes.
        """

    def folder(self, digest: str) -> Path:
        """Where the cached copy of a digest lies once it was pinned; creates nothing."""

    def is_cached(self, digest: str) -> bool:
        """Whether there is a cached copy of this digest."""


class Sandbox(Protocol):
    """Runs the validation suite on a model, away from everything that matters."""

    def examine(self, request: ExamineRequest) -> Examination:
        """One result for each test asked for, in that order, within the time limit and a few seconds.

        A model that cannot load, crashes or hangs has failed tests with reasons. Raises Unavailable when
        no process can be started at all.
        """


@dataclass(frozen=True, slots=True)
class Held:
    """The version that a place belongs to, and its workspace."""

    ref: VersionRef
    workspace: str


class Sources(Protocol):
    """Where the artifacts of registered versions lie, in all workspaces: places as `domain.places` writes them."""

    def holder(self, places: Iterable[str], roots: Iterable[str] = ()) -> Held | None:
        """A version to which one of the places belongs: it is that place, or a folder above it.

        `roots` are the names of the store that the server proxies: a version cannot have that, or a whole experiment.
        """

    def below(self, places: Iterable[str]) -> Held | None:
        """A version whose place lies inside one of these."""

    def any_missing(self) -> bool:
        """Whether a version was registered past Lockgate, so that its place is not noted yet."""

    def adopt(self) -> int:
        """Note the places of many of those; how many there were."""
