"""What looking back needs of the outside: stays, moves and releases of any day, of models that are gone too."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from lockgate.domain.approvals import ApprovalRequest
from lockgate.domain.manifest import Manifest
from lockgate.domain.promotion import Promotion
from lockgate.domain.stages import Stage
from lockgate.domain.validation import Validation

if TYPE_CHECKING:
    from lockgate.usecases.ports import Recorded


@dataclass(frozen=True, slots=True)
class PastModel:
    """A model by our own number of it, which no renaming changes. `name` is its present or last one."""

    id: int
    name: str
    deleted_at: datetime | None

    @property
    def chain(self) -> str:
        """The chain that its entries are in."""
        return "model:" + str(self.id)


@dataclass(frozen=True, slots=True)
class Stay:
    """A version in a stage, from `entered_at` to `left_at` (None: still), put there by `promotion` if any."""

    model: PastModel
    version: int
    stage: Stage
    entered_at: datetime
    left_at: datetime | None
    promotion: str
    provenance: str
    digest: str | None


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy that was in force, by its digest."""

    digest: str
    text: str
    applied_by: str
    applied_at: datetime


class History(Protocol):
    """The past of one workspace."""

    def began(self) -> Recorded | None:
        """The entry with which the record began."""

    def models(self, at: datetime) -> Sequence[PastModel]:
        """Those that were not deleted by then, by name."""

    def renamed_after(self, at: datetime) -> Mapping[str, str]:
        """By chain, the name that a model bore at that moment, where it bears another one now."""

    def stays(self, at: datetime, stages: Collection[Stage], models: Collection[int]) -> Sequence[Stay]:
        """Who was in these stages at that moment, the least recently entered first."""

    def deployments(self, at: datetime, chain: str | None = None) -> Iterator[Recorded]:
        """Entries up to that moment that say what an endpoint serves or that it is gone, each chain in its order."""

    def last_move(self, chain: str, at: datetime, versions: Collection[int], stage: Stage) -> int | None:
        """Which of these versions moved into the stage last, as the record tells; None where it tells of none."""

    def promotion(self, id: str) -> tuple[Promotion, PastModel] | None: ...

    def closed(self, since: datetime | None, until: datetime) -> Sequence[str]:
        """The ids of promotions and rollbacks that were over within that time, sorted."""

    def requests(self, model: int, version: int) -> Sequence[ApprovalRequest]:
        """Newest first."""

    def validations(self, model: int, version: int) -> Sequence[Validation]:
        """Newest first."""

    def manifest(self, model: int, version: int) -> Manifest | None:
        """Every file of the version with its digest, as it was pinned."""

    def policy(self, digest: str) -> KeptPolicy | None:
        """None for the built-in one, and for one that never was in force."""

    def positions(self, chain: str, numbers: Collection[int]) -> Mapping[int, int]:
        """Where these entries of the chain stand in the record's tree; one that has no position is left out."""

    def entries(self, chain: str, version: int, until: datetime, limit: int) -> Sequence[Recorded]:
        """What the record tells of the version up to that moment, oldest first: at most the last so many."""
