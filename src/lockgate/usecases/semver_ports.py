"""What the use cases need for semantic versions: the rows, and which versions are still to be looked at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from lockgate.domain.identity import Who
from lockgate.domain.semver import SemanticVersion
from lockgate.domain.versions import VersionRef

SIGNATURE, PERSON, TAG = "signature", "person", "tag"


@dataclass(frozen=True, slots=True)
class Numbered:
    """What is known of one version's semantic version. Without a `number`, `because` says why it has none.

    `origin` is signature (it was computed), person (somebody set it) or tag (it was there before Lockgate). `signature`
    is the digest of the signature's text, None where the model has none. `compared_with` is the version before it,
    None for a first one. `mlmodel` is the SHA-256 of the file that was read, empty while none was. `attempts` counts
    the looks at a file that could not be read.
    """

    ref: VersionRef
    number: SemanticVersion | None
    origin: str
    because: str
    who: Who
    at: datetime
    signature: str | None = None
    mlmodel: str = ""
    compared_with: int | None = None
    attempts: int = 0


class Semver(Protocol):
    """Semantic versions, each given once in a model, and the signatures they were computed from."""

    def get(self, ref: VersionRef) -> Numbered | None: ...

    def of_model(self, model: str) -> Sequence[Numbered]:
        """Of every version that is not deleted and was looked at, newest first."""

    def numbers(self, refs: Collection[VersionRef]) -> Mapping[VersionRef, SemanticVersion]:
        """Of those versions that have one."""

    def find(self, model: str, number: SemanticVersion) -> VersionRef | None:
        """The version, deleted or not, to which the number was given."""

    def highest_patch(self, model: str, number: SemanticVersion) -> int:
        """The largest PATCH that was given with this MAJOR and MINOR, to versions deleted or not; -1 for none."""

    def before(self, ref: VersionRef, *, was_read: bool = False) -> Numbered | None:
        """The newest earlier version, not deleted, that has a number; with `was_read`, and whose signature is known."""

    def behind(self, ref: VersionRef) -> Numbered | None:
        """The oldest later version, not deleted, that has a number."""

    def put(self, numbered: Numbered) -> None: ...

    def keep_signature(self, text: str) -> str:
        """Keep the signature's text, once however many versions have it; its digest."""

    def signature(self, digest: str) -> str:
        """The text that was kept."""

    def is_due(self, ref: VersionRef, until: datetime) -> bool:
        """Whether it is still to be looked at, and the claim on it that ends then still stands."""

    def waits_before(self, ref: VersionRef) -> bool:
        """Whether an earlier version is still to be looked at for the first time."""

    def due(self, ref: VersionRef, at: datetime | None) -> None:
        """Look at it then; with None no more."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Versions of one model to look at, the oldest first, claimed until then. `urgent`: one was registered just now."""

    model: str
    workspace: str
    versions: tuple[int, ...]
    until: datetime
    urgent: bool


class Numbering(Protocol):
    """Taking what is to be looked at: versions just registered first, those that were there before us last."""

    def claim(self, lease: timedelta, most: int) -> Batch | None:
        """The oldest versions of one model that are due, nobody else's until the lease is over. None when none is."""
