"""What the use cases need for requests, answers, delegations, broken glass and proposed policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lockgate.domain.approvals import ApprovalRequest, Decision, Delegation, RequestState
from lockgate.domain.break_glass import BreakGlass
from lockgate.domain.plans import Parts
from lockgate.domain.proposals import Proposal
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef


class Approvals(Protocol):
    """Requests for approval with their decisions, and the parts of the plans that they name."""

    def add(self, request: ApprovalRequest) -> None: ...

    def decide(self, request_id: str, decision: Decision, state: str) -> None: ...

    def close(self, request_id: str, state: RequestState, because: str) -> None:
        """Set the request's state, and say why."""

    def take_back(self, request_id: str, name: str, at: datetime, because: str) -> int:
        """End the yeses that this person gave, or that were given for them; how many there were."""

    def void(self, ref: VersionRef, at: datetime, because: str) -> int:
        """End every yes that was given to this version; how many there were."""

    def keep_plan(self, digest: str, parts: Parts, at: datetime) -> None:
        """Keep the parts of a plan, so that it can be told later what changed. Already kept: changes nothing."""

    def plan(self, digest: str) -> Parts | None:
        """The parts of the plan whose digest begins so, where they were kept and it is the only one."""

    def get(self, id: str) -> ApprovalRequest | None: ...

    def latest(self, ref: VersionRef, stage: Stage) -> ApprovalRequest | None:
        """With the parts of the plans that its decisions signed."""

    def pending(self, limit: int = 100, after: str = "") -> Sequence[ApprovalRequest]:
        """Oldest first, over all models; only those that come after the request with that id."""

    def pending_of(self, model: str, limit: int = 100) -> Sequence[ApprovalRequest]:
        """Those of one model, oldest first."""

    def pending_counts(self) -> Mapping[str, int]:
        """How many requests of each model nobody has answered yet; models without any are left out."""

    def of_model(self, model: str, limit: int = 100) -> Sequence[ApprovalRequest]:
        """Newest first."""


class Delegations(Protocol):
    """Who may answer in whose place, and until when. They are the same in all workspaces."""

    def add(self, delegation: Delegation) -> None: ...

    def get(self, id: str) -> Delegation | None: ...

    def to(self, name: str) -> Sequence[Delegation]:
        """Those that make this person somebody's stand-in and were not ended, newest first."""

    def of(self, giver: str) -> Sequence[Delegation]:
        """Those that this person gave and did not end, newest first."""

    def recent(self, limit: int = 100) -> Sequence[Delegation]:
        """Newest first, over and not over."""

    def end(self, id: str, at: datetime) -> None: ...


class Glasses(Protocol):
    """Each time that somebody set the gates aside, or asked to."""

    def add(self, glass: BreakGlass) -> None: ...

    def save(self, glass: BreakGlass) -> None:
        """Write what became of it."""

    def get(self, id: str) -> BreakGlass | None: ...

    def of_promotion(self, promotion: str) -> BreakGlass | None:
        """The one by which this promotion was made."""

    def broken(self, ref: VersionRef, stage: Stage) -> BreakGlass | None:
        """The newest one for this move that was confirmed and not used; it may have expired."""

    def recent(self, limit: int = 100, model: str | None = None) -> Sequence[BreakGlass]:
        """Newest first."""

    def unreviewed(self, limit: int = 100) -> Sequence[BreakGlass]:
        """Those that were confirmed and nobody has reviewed yet, the one due first first."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set that went into a run; `context` is what it was there for, such as training."""

    name: str
    digest: str
    kind: str
    context: str = ""


@dataclass(frozen=True, slots=True)
class Training:
    """The run that made a version, as whoever ran it says: its name, user, source, code and data."""

    run_id: str
    name: str
    user: str
    source: str
    commit: str
    started_at: datetime | None
    datasets: tuple[DataSet, ...] = ()


class Trainings(Protocol):
    """What MLflow's tables tell of runs."""

    def of_run(self, run_id: str) -> Training | None:
        """None where there is no such run, or none any more."""


class Proposals(Protocol):
    """Policies that one person proposed and another one puts in force."""

    def add(self, proposal: Proposal) -> None: ...

    def save(self, proposal: Proposal) -> None:
        """Write what became of it."""

    def get(self, id: str) -> Proposal | None: ...

    def open(self) -> Proposal | None:
        """The one that waits for a second person; a newer one takes the place of an older."""

    def recent(self, limit: int = 100) -> Sequence[Proposal]:
        """Newest first."""
