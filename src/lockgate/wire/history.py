"""What the API answers about the past: what was so on a day, and a sample of promotions with their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lockgate.wire import shapes


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy that was in force: who applied it first and when. `text` is there where the whole is told."""

    digest: str
    applied_by: str
    applied_at: datetime
    text: str = ""


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind a move: the promotion with its verdict, the request with the answers given before it.

    `policy` is None for the built-in one.
    """

    promotion: shapes.Promotion
    request: shapes.ApprovalRequest | None = None
    policy: KeptPolicy | None = None

    @property
    def agreed(self) -> tuple[shapes.Decision, ...]:
        """The yeses that stood, to the very plan that was carried out."""
        given = self.request.decisions if self.request is not None else ()
        plan = self.promotion.plan_digest
        return tuple(d for d in given if d.approved and d.withdrawn_at is None and d.plan_digest == plan)


@dataclass(frozen=True, slots=True)
class InStage:
    """A version in a stage. `primary` None: the record does not tell. `unknown` says why nothing stands behind it."""

    version: int
    stage: str
    since: datetime
    digest: str | None
    primary: bool | None
    behind: Behind | None = None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """What an endpoint served. `vacant`: its version had left the stage, and nothing had replaced it."""

    environment: str
    version: int
    release: str
    digest: str
    since: datetime
    promotion: str
    vacant: bool


@dataclass(frozen=True, slots=True)
class ModelThen:
    """One model as it was. `now` is its present name where that is another one; `deleted_at` when it went."""

    model: str
    stages: tuple[InStage, ...]
    serving: tuple[Served, ...]
    now: str = ""
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AsOf:
    """What was so at a moment. `began` is when the record began; `adopted`: MLflow had been there before it.

    `removed`: entries that would say what served have no text any more, by the rule of retention.
    """

    at: datetime
    began: datetime
    adopted: bool
    models: tuple[ModelThen, ...]
    removed: bool = False


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """One file of a version, with the SHA-256 of what it held when it was pinned."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SampledEntry:
    """An entry of the record; `proven` where the sample's checkpoint covers it.

    `proof` is that of RFC 9162 over the leaf at `position`, each hash in base64.
    """

    entry: shapes.AuditEntry
    position: int | None = None
    proof: tuple[str, ...] = ()
    proven: bool = False


@dataclass(frozen=True, slots=True)
class Sampled:
    """One promotion with everything that is kept of it; `trouble` says what is not, or was changed behind Lockgate."""

    behind: Behind
    chain: str
    requests: tuple[shapes.ApprovalRequest, ...]
    validations: tuple[shapes.Validation, ...]
    manifest: tuple[PinnedFile, ...]
    entries: tuple[SampledEntry, ...]
    digest: str | None = None
    evidence: Mapping[str, Any] | None = None
    trouble: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Anchored:
    """A place outside that checkpoints are written to: the largest it holds, and what went wrong since."""

    place: str
    size: int
    anchored_at: datetime | None
    attempted_at: datetime | None
    failures: int
    error: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class AnchorList:
    """Places, and how many entries the newest checkpoint covers."""

    anchors: tuple[Anchored, ...]
    signed: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Promotions that were over within a time, drawn by chance: the same `seed` and times draw the same ones again.

    `population` is from how many, `checkpoint` the signed note that the proofs lead to, `keys` what verifies it.
    """

    seed: str
    since: datetime | None
    until: datetime
    population: int
    made_at: datetime
    lockgate: str
    promotions: tuple[Sampled, ...]
    checkpoint: str = ""
    keys: tuple[str, ...] = ()
