"""What should serve, what was seen serving, and the releases an endpoint has had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from lockgate.domain.policy import EndpointRule
from lockgate.domain.traffic import Split
from lockgate.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class Release:
    """The immutable thing that serves: one digest of one version on one endpoint."""

    id: str
    endpoint: str
    ref: VersionRef
    digest: str
    engine: str  # what `domain.engines.Engine` writes; "mlflow" of older releases is MLflow's own way
    promotion: str
    created_at: datetime
    baked_at: datetime | None = None


class EndpointState(StrEnum):
    """`PENDING` has never served; `VACANT` serves a release whose version left the stage."""

    PENDING = "pending"
    SERVING = "serving"
    VACANT = "vacant"
    DEGRADED = "degraded"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model in one environment. `release` and `generation` are the committed truth the agent makes real."""

    id: str
    environment: str
    model: str
    port: int | None
    release: Release | None
    generation: int
    acknowledged: int
    state: EndpointState
    because: str = ""
    candidate: Release | None = None


@dataclass(frozen=True, slots=True)
class EndpointToken:
    """Lets whoever has its secret ask one model in one environment for predictions. The secret is kept nowhere."""

    id: str
    environment: str
    model: str
    label: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DesiredEndpoint:
    """What one agent must make true for one endpoint.

    `preferred_port` is the environment's own port (0: any free one); `port` is the one it got, None before the bind.
    When `may_take_next` is true and the preferred port is held by another endpoint, the next free one from
    `preferred_port` up is taken instead. `tokens` are the digests of those that let a caller in. `parked`
    are earlier releases to keep warm without traffic, the one that left last first. `beside` are releases of further
    versions that hold the environment's stage: they answer who asks for them, and what `split` gives them.
    """

    endpoint: Endpoint
    host: str
    preferred_port: int
    may_take_next: bool
    rule: EndpointRule = field(default_factory=EndpointRule)
    tokens: tuple[str, ...] = ()
    parked: tuple[Release, ...] = ()
    workspace: str = ""
    beside: tuple[Release, ...] = ()
    split: Split | None = None


class GroupState(StrEnum):
    """A worker group as the agent sees it. `READY` has loaded and answered probes but takes no traffic yet."""

    STARTING = "starting"
    READY = "ready"
    SERVING = "serving"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ObservedGroup:
    """One worker group: which release on which endpoint, its state, why it failed, and the pids that answer.

    `memory` is what it takes of the machine, in bytes; what processes share is divided among them (PSS).
    """

    endpoint: str
    release: str
    state: GroupState
    because: str = ""
    pids: tuple[int, ...] = ()
    seen_at: datetime | None = None
    memory: int = 0


def last_known_good(
    current: Release | None, history: Iterable[Release], quarantined: frozenset[VersionRef]
) -> Release | None:
    """The latest other release that finished its bake and whose version is not quarantined, or None.

    `history` holds the endpoint's releases in any order.
    """
    here = current.ref if current else None
    good = [r for r in history if r.baked_at is not None and r.ref != here and r.ref not in quarantined]
    return max(good, key=lambda release: (release.baked_at, release.created_at), default=None)
