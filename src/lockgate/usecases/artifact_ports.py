"""What the use cases need of artifact stores and of the place where somebody's model is tried out."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from lockgate.domain.manifest import Manifest
from lockgate.domain.validation import Examination, ExamineRequest


class Artifacts(Protocol):
    """The files of versions where MLflow keeps them, and our own read-only copies named by their digest."""

    def pin(self, location: str) -> Manifest:
        """Hash every file while copying it into the cache. Safe to repeat, also at the same moment elsewhere.

        Raises Unreadable with the reason when there is nothing that can be pinned.
        """

    def check(self, location: str, pinned: Manifest) -> tuple[str, ...]:
        """What has changed at the source since `pinned`, one line a file; empty when nothing has.

        Files that are gone are named as missing. Raises Unreadable when the location cannot be looked at.
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
