"""What the use cases need of the outside, named for the role it plays for us.

A `Work` is one transaction. Everything read and written through it is seen together or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from lockgate.domain.audit import Break, Entry, Linked
from lockgate.domain.canonical import Plain
from lockgate.domain.denials import Tally
from lockgate.domain.engines import Measurement
from lockgate.domain.evidence import Metric, Quarantine
from lockgate.domain.identity import Who
from lockgate.domain.manifest import Manifest
from lockgate.domain.policy import Policy
from lockgate.domain.promotion import Claim, Promotion, PromotionState
from lockgate.domain.serving import Endpoint, ObservedGroup, Release
from lockgate.domain.stages import Stage
from lockgate.domain.validation import Validation
from lockgate.domain.versions import VersionRef
from lockgate.usecases.access_ports import People
from lockgate.usecases.adoption_ports import Adoption, Drift
from lockgate.usecases.anchor_ports import Anchors
from lockgate.usecases.approval_ports import Approvals, Delegations, Glasses, Proposals, Trainings
from lockgate.usecases.artifact_ports import Artifacts, Sources
from lockgate.usecases.check_ports import Checks
from lockgate.usecases.custom_rules import CustomRules, NoCustomRules
from lockgate.usecases.engine_ports import Measurements
from lockgate.usecases.evidence_ports import KeptEvidence
from lockgate.usecases.history_ports import History
from lockgate.usecases.keeping_ports import Keeping
from lockgate.usecases.semver_ports import Semver
from lockgate.usecases.serving_ports import EndpointTokens, Splits
from lockgate.usecases.tree_ports import Tree
from lockgate.usecases.webhook_ports import Webhooks


class Clock(Protocol):
    """The time, aware and in UTC."""

    def now(self) -> datetime: ...


class Ids(Protocol):
    """New identifiers: short, sortable by time, unique."""

    def new(self, prefix: str) -> str: ...


@dataclass(frozen=True, slots=True)
class CatalogVersion:
    """One version as MLflow's own tables tell it. `location` is where its artifacts lie (MLflow's storage_location)."""

    ref: VersionRef
    stage: str
    location: str
    run_id: str | None
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    created_at: datetime
    description: str = ""


class Catalog(Protocol):
    """MLflow's own rows: read freely, written only as projections of our lifecycle rows."""

    def has_model(self, model: str) -> bool: ...

    def is_prompt(self, model: str) -> bool: ...

    def models(self) -> Sequence[str]:
        """The names of all registered models that are no prompts, sorted."""

    def version(self, ref: VersionRef) -> CatalogVersion | None:
        """None when it does not exist or was deleted."""

    def versions(self, model: str) -> Sequence[CatalogVersion]:
        """Every version that is not deleted, newest first."""

    def metrics(self, ref: VersionRef) -> Mapping[str, Metric]:
        """Last values: the logged model's where it has the metric, else the run's."""

    def set_stage(self, ref: VersionRef, stage: Stage, at: datetime) -> None:
        """Write current_stage and both last-updated columns."""

    def set_aliases(self, model: str, aliases: Mapping[str, int | None]) -> None:
        """Point each alias at a version, or remove it with None."""

    def set_tag(self, ref: VersionRef, key: str, value: str | None) -> None:
        """Set a version tag, or remove it with None."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Our own row for one version: the truth about its stage. `primary` says the stage's alias points here.

    `entered` is when it was last promoted to its stage (re-promotion makes it primary again); `since` is when
    its present stay in the stage began.
    """

    ref: VersionRef
    stage: Stage
    since: datetime
    entered: datetime
    primary: bool
    digest: str | None
    quarantine: Quarantine | None
    registered_by: Who
    registered_at: datetime
    provenance: str  # "registered" | "before Lockgate" | "unrecorded"


class Versions(Protocol):
    """Lifecycle rows, pinned manifests and the stays that make the history of stages."""

    def get(self, ref: VersionRef) -> Lifecycle | None: ...

    def of_model(self, model: str) -> Sequence[Lifecycle]:
        """Newest first."""

    def in_stage(self, model: str, stage: Stage) -> Sequence[VersionRef]:
        """The least recently entered first, so the last one is the primary."""

    def newest_in_stage(self, model: str, stage: Stage) -> int | None:
        """The version most recently promoted to the stage, however many there are; None when it is empty."""

    def count(self, model: str) -> int: ...

    def register(
        self,
        ref: VersionRef,
        who: Who,
        at: datetime,
        *,
        stage: Stage = Stage.NONE,
        provenance: str = "registered",
        location: str | None = None,
    ) -> None:
        """Add the row; already there is no error (and changes nothing). Its artifacts lie where MLflow's row says.

        Who knows what that row says names the `location`, and it is not read for it.
        """

    def place(self, ref: VersionRef, stage: Stage, at: datetime, promotion: str | None) -> None:
        """Move it: the present stay ends and a new one begins (the same stage again only sets `entered`)."""

    def elect(self, model: str, stages: Collection[Stage]) -> Mapping[Stage, int | None]:
        """Make the version most recently promoted to each stage (one or two) its only primary; which one that is."""

    def pin(self, ref: VersionRef, manifest: Manifest, at: datetime) -> None:
        """Store the manifest and its digest. Already pinned: changes nothing."""

    def manifest(self, ref: VersionRef) -> Manifest | None: ...

    def quarantine(self, ref: VersionRef, quarantine: Quarantine | None) -> None: ...

    def quarantined(self, model: str) -> frozenset[VersionRef]: ...

    def delete(self, ref: VersionRef, at: datetime) -> None:
        """End its stay and hide the row from `get`, `of_model` and `in_stage`; the history stays."""

    def add_model(self, model: str) -> bool:
        """Begin the model's own row and audit chain; False when they are there already."""

    def rename_model(self, old: str, new: str) -> None:
        """Call the same model by its new name: versions, promotions and audit chain go along."""

    def delete_model(self, model: str, at: datetime) -> None:
        """End every stay and let go of the name: a model made under it later starts with nothing. The history stays."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Of a version that may be promoted, what says whether its files have to be looked at, and where they lie.

    `stage` and `primary` are those of its lifecycle row, and `stage` None without one. `goes_on`: there is an open
    promotion to the stage that was asked about.
    """

    location: str
    digest: str | None
    stage: Stage | None
    primary: bool
    goes_on: bool


class Promotions(Protocol):
    """Promotion rows, and the leases under which they are advanced."""

    def glimpse(self, ref: VersionRef, stage: Stage) -> Glimpse | None:
        """None when MLflow has no such version, or it was deleted."""

    def add(
        self, promotion: Promotion, *, due_at: datetime, claimed_by: str | None = None, lease: timedelta | None = None
    ) -> Claim | None:
        """Add an open one, claimed at once if asked. Raises AlreadyOpen when its version and stage have one."""

    def get(self, id: str) -> Promotion | None: ...

    def open_for(self, ref: VersionRef, stage: Stage) -> Promotion | None: ...

    def open_of_model(self, model: str) -> Sequence[Promotion]: ...

    def recent(self, model: str | None, limit: int) -> Sequence[Promotion]:
        """Newest first; all models when None."""

    def judged(self, *, since: datetime | None, after: str, limit: int) -> Sequence[Promotion]:
        """Those into Staging and Production that are over and were judged, oldest first: asked for since then, and
        after the one with that id ("" is the first page). Raises BadInput for an id that is none.
        """

    def count_judged(self, *, since: datetime | None) -> int:
        """How many there are, all pages together."""

    def keep(self, id: str) -> None:
        """Make an open one lasting; whoever holds its claim finds it so at its next look."""

    def due(self, model: str, now: datetime) -> int:
        """Make the model's promotions that wait, for a validation too, due now; how many there were."""

    def close(self, id: str, state: PromotionState, because: str, at: datetime) -> bool:
        """End an open one whoever holds its lease: the fence moves on. False when it was over already."""


class Validations(Protocol):
    """Validation rows: a queue and its results."""

    def add(self, validation: Validation) -> None: ...

    def get(self, id: str) -> Validation | None: ...

    def open_for(self, ref: VersionRef) -> Validation | None:
        """The queued or running one, if any."""

    def latest(self, ref: VersionRef, digest: str | None = None) -> Validation | None:
        """The newest finished one on that digest (any digest when None)."""

    def of_model(self, model: str, limit: int = 100) -> Sequence[Validation]:
        """Newest first."""

    def close_of_model(self, model: str, because: str, at: datetime) -> None:
        """End those that are queued or running, whoever holds their lease: the model is about to go."""


class Endpoints(Protocol):
    """Endpoint and release rows, and what the agents saw."""

    def get(self, environment: str, model: str) -> Endpoint | None: ...

    def by_id(self, id: str) -> Endpoint | None: ...

    def all(self) -> Sequence[Endpoint]:
        """By environment and model; retired ones left out."""

    def of_model(self, model: str) -> Sequence[Endpoint]: ...

    def create(self, id: str, environment: str, model: str, at: datetime) -> Endpoint: ...

    def warm(self, endpoint: str, release: Release | None) -> None:
        """Add the release if it is new and make it the endpoint's candidate; None drops the candidate."""

    def commit(self, endpoint: str, release: str, at: datetime) -> int:
        """Make the candidate the committed release; the new generation.

        The one it replaces has left at that moment. One that had left and comes back is no longer baked.
        """

    def set_state(self, endpoint: str, state: str, because: str = "") -> None: ...

    def bake(self, release: str, at: datetime) -> None:
        """The release finished its bake."""

    def releases(self, endpoint: str) -> Sequence[Release]:
        """Newest first."""

    def release(self, id: str) -> Release | None: ...

    def observed(self, endpoint: str) -> Sequence[ObservedGroup]: ...

    def observed_release(self, release: str) -> ObservedGroup | None: ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """One entry as it is read back: its place in the chain and its plain fields."""

    linked: Linked
    plain: Mapping[str, Plain]


class Record(Protocol):
    """The audit log and the outbox: what happened, and what is owed to the outside for it."""

    def write(self, entry: Entry) -> Linked:
        """Link the entry at the end of its model's chain (`system` without a model).

        The same entry goes to the outbox when a webhook hears its action.
        """

    def read(self, *, model: str | None = None, action: str | None = None, limit: int = 100) -> Sequence[Recorded]:
        """Newest first."""

    def verify(self) -> tuple[int, Sequence[Break]]:
        """How many entries were checked, and every place where a chain does not hold."""


class Policies(Protocol):
    """The policy rows; the newest is in force."""

    def in_force(self) -> Policy: ...

    def of_digest(self, digest: str) -> Policy | None:
        """A policy that was in force once; None when it never was here.

        Raises BadInput when its text is not the one that has the digest, or this release cannot read it.
        """

    def text(self) -> str | None:
        """The text of the policy in force, None for the built-in one."""

    def apply(self, text: str, digest: str, who: Who, at: datetime) -> None: ...


class Work(Protocol):
    """One transaction."""

    @property
    def catalog(self) -> Catalog: ...
    @property
    def versions(self) -> Versions: ...
    @property
    def promotions(self) -> Promotions: ...
    @property
    def approvals(self) -> Approvals: ...
    @property
    def delegations(self) -> Delegations: ...
    @property
    def glasses(self) -> Glasses: ...
    @property
    def proposals(self) -> Proposals: ...
    @property
    def trainings(self) -> Trainings: ...
    @property
    def validations(self) -> Validations: ...
    @property
    def measurements(self) -> Measurements: ...
    @property
    def checks(self) -> Checks: ...
    @property
    def semver(self) -> Semver: ...
    @property
    def endpoints(self) -> Endpoints: ...
    @property
    def record(self) -> Record: ...
    @property
    def tree(self) -> Tree: ...
    @property
    def webhooks(self) -> Webhooks: ...
    @property
    def history(self) -> History: ...
    @property
    def anchors(self) -> Anchors: ...
    @property
    def keeping(self) -> Keeping: ...
    @property
    def policies(self) -> Policies: ...
    @property
    def evidence(self) -> KeptEvidence: ...
    @property
    def sources(self) -> Sources: ...
    @property
    def adoption(self) -> Adoption: ...
    @property
    def drift(self) -> Drift: ...
    @property
    def people(self) -> People: ...
    @property
    def endpoint_tokens(self) -> EndpointTokens: ...

    @property
    def splits(self) -> Splits: ...


class Store(Protocol):
    """Transactions. Leaving the block commits; an exception undoes all of it."""

    @property
    def workspace(self) -> str:
        """Which of MLflow's a transaction begun now would see."""

    def reading(self) -> AbstractContextManager[Work]: ...

    def writing(self, model: str | None, *others: str) -> AbstractContextManager[Work]:
        """Locks the model's row first (the system chain's when None), so that all changes to one model queue up.

        A name that no model bears is locked too: nobody takes it meanwhile. Several are locked in the order of names.
        """

    def making(self, model: str) -> AbstractContextManager[Work]:
        """As `writing`, for a name that nobody is expected to bear: only the name is locked."""

    def changing(self) -> AbstractContextManager[Work]:
        """Locks nothing: for rows of which each is written whole, and nothing goes on the record."""

    def within(self, workspace: str) -> AbstractContextManager[None]:
        """Transactions of this thread see that workspace of MLflow's: queued work is done where it was asked for."""


class Queue(Protocol):
    """Taking open promotions, queued validations and measurements under a lease, and giving them back."""

    def claim_promotion(self, owner: str, lease: timedelta) -> tuple[Promotion, Claim] | None:
        """The open one that is due longest and leased by nobody."""

    def claim_validation(self, owner: str, lease: timedelta) -> tuple[Validation, Claim] | None: ...

    def claim_measurement(self, owner: str, lease: timedelta) -> tuple[Measurement, Claim] | None: ...

    def renew(self, claim: Claim, lease: timedelta) -> bool:
        """False when the claim was lost."""

    def save_promotion(
        self, work: Work, claim: Claim, promotion: Promotion, *, due_at: datetime | None, release: bool
    ) -> None:
        """Write the row in this transaction. Raises LostClaim when the fence moved on: nothing may commit then.

        `due_at` None is now. `release` gives the lease back.
        """

    def save_validation(self, work: Work, claim: Claim, validation: Validation, *, release: bool) -> None:
        """As save_promotion."""

    def save_measurement(self, work: Work, claim: Claim, measurement: Measurement, *, release: bool) -> None:
        """As save_promotion."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What a process hands to the use cases. `owner` names it on leases; `started_at` is when it began to look.

    `denials` is whom this process refused within the last minute.
    """

    store: Store
    queue: Queue
    artifacts: Artifacts
    clock: Clock
    ids: Ids
    owner: str
    started_at: datetime
    denials: Tally = field(default_factory=Tally)
    custom: CustomRules = field(default_factory=NoCustomRules)


class AlreadyOpen(Exception):
    """Another promotion of this version to this stage is open. Never reaches a user: the request joins it."""


class LostClaim(Exception):
    """Somebody else holds the lease now. The transaction is undone and the work is theirs."""
