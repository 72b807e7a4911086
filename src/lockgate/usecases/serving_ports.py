"""What the agent needs of the record and of the machine, and the facts the two give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from lockgate.domain.policy import EndpointRule
from lockgate.domain.serving import DesiredEndpoint, EndpointToken, GroupState, ObservedGroup, Release
from lockgate.domain.traffic import Neighbour, SetSplit, Split


class AgentLedger(Protocol):
    """The record, as far as an agent reads and writes it. Every method may raise when the database is away."""

    def desired(self) -> Sequence[DesiredEndpoint]:
        """Endpoints that aren't retired, and retired ones whose workers were still seen.

        `endpoint.release` is the committed one, `endpoint.candidate` the one to warm beside it.
        """
        ...

    def bound(self, endpoint: str, port: int) -> None:
        """Record the port an endpoint got."""
        ...

    def report(self, observed: Sequence[ObservedGroup]) -> None:
        """Record everything this agent sees now; what is missing here is gone."""
        ...

    def acknowledge(self, endpoint: str, generation: int) -> None:
        """The committed release of that generation takes the traffic, and nobody else accepts."""
        ...

    def degrade(self, endpoint: str, because: str) -> None:
        """What is seen has differed from what is committed for longer than a second; an empty text takes it back."""
        ...


@dataclass(frozen=True, slots=True)
class GroupOrder:
    """What it takes to start one worker of a group."""

    endpoint: str
    release: Release
    generation: int
    rule: EndpointRule
    artifacts: Path
    environment: str = ""


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """One live worker process."""

    id: str
    pid: int
    state: GroupState


@dataclass(frozen=True, slots=True)
class GroupSeen:
    """One worker group. `failed` is one line, empty while starting is still tried; `wanted` is 0 once it may leave.

    `memory` is what its workers take, in bytes, with what they share with other processes divided (PSS); 0: not known.
    """

    endpoint: str
    release: str
    workers: tuple[WorkerSeen, ...]
    wanted: int
    failed: str = ""
    memory: int = 0

    def count(self, *states: GroupState) -> int:
        """How many workers are in one of `states`."""
        return sum(worker.state in states for worker in self.workers)

    @property
    def missing(self) -> int:
        """How many workers of those wanted are not there."""
        return max(0, self.wanted - len(self.workers))

    @property
    def accepts(self) -> bool:
        """Whether it takes traffic."""
        return self.count(GroupState.SERVING) > 0

    @property
    def whole(self) -> bool:
        """Whether every wanted worker could take traffic now, or does."""
        return self.count(GroupState.READY, GroupState.SERVING, GroupState.DRAINING) >= max(1, self.wanted)

    @property
    def state(self) -> GroupState:
        """The group's state, as its least advanced worker allows; it serves as soon as one worker accepts."""
        if self.accepts:
            return GroupState.SERVING
        if self.failed:
            return GroupState.FAILED
        if self.workers and self.count(GroupState.DRAINING) == len(self.workers):
            return GroupState.DRAINING
        if self.workers and not self.missing and self.count(GroupState.READY) == len(self.workers):
            return GroupState.READY
        return GroupState.STARTING


@dataclass(frozen=True, slots=True)
class BesideOrder:
    """A further version that may answer: in `workers` of its own when it is `apart`, else in those that are told."""

    release: Release
    artifacts: Path
    apart: bool = False
    workers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Division:
    """What the workers of one release are told of other versions: who they are, and how requests are divided.

    `shares`: the release itself answers what others pass on to it, though it does not accept.
    """

    beside: tuple[BesideOrder, ...] = ()
    split: Split | None = None
    shares: bool = False


class EndpointTokens(Protocol):
    """The tokens of endpoints; they stay with model and environment while endpoints come and go."""

    def add(self, token: EndpointToken, digest: str) -> None:
        """Add one, of which the SHA-256 of its secret is kept."""
        ...

    def get(self, id: str) -> EndpointToken | None: ...

    def of(self, model: str | None = None, environment: str | None = None) -> Sequence[EndpointToken]:
        """Newest first, revoked ones among them."""
        ...

    def revoke(self, id: str, at: datetime) -> None: ...


class Splits(Protocol):
    """How requests are divided among versions; of each model in each environment one at most."""

    def get(self, environment: str, model: str) -> SetSplit | None: ...

    def of(self, model: str | None = None, environment: str | None = None) -> Sequence[SetSplit]:
        """By model and environment."""
        ...

    def put(self, split: SetSplit) -> None:
        """Set it, in place of the one that was."""
        ...

    def remove(self, environment: str, model: str) -> None:
        """Divide no longer. Nothing to do when nothing is divided."""
        ...


class WorkerGroups(Protocol):
    """The worker processes of this machine. Commands are safe to repeat and answer whether they took effect."""

    def adopt(self) -> None:
        """Find the workers that an earlier agent left running, and take their listening sockets back."""
        ...

    def ports(self) -> dict[str, int]:
        """The port of every endpoint whose listening socket is open."""
        ...

    def bind(self, endpoint: str, host: str, ports: Sequence[int]) -> int:
        """Open the listening socket on the first free one of `ports` (0: any).

        Raises Unavailable naming the owner when all are taken.
        """
        ...

    def look(self) -> Sequence[GroupSeen]:
        """Every group as it is now. Groups that nobody wants any more disappear with their last worker."""
        ...

    def ensure(self, order: GroupOrder) -> bool:
        """Start the workers that are missing, unless it is too soon after a failure."""
        ...

    def go(self, endpoint: str, release: str) -> bool:
        """Let every loaded worker of the group accept. True when all of them do."""
        ...

    def admit(self, endpoint: str, tokens: Sequence[str]) -> None:
        """Let only callers with one of these tokens in, told by their digests; with none, whoever reaches loopback.

        Workers that are started from now on know it too.
        """
        ...

    def introduce(self, endpoint: str, neighbours: Sequence[Neighbour]) -> None:
        """Tell the endpoint's workers where the models of their environment are answered."""
        ...

    def divide(self, endpoint: str, release: str, division: Division) -> None:
        """Tell the release's workers how requests are divided among versions."""
        ...

    def drain(self, endpoint: str, release: str, *, forward: bool, park: bool = False) -> bool:
        """Let the group accept no more and leave when its connections are done. True when none accepts any more.

        `forward`: another group has taken over: it gets the connections, and what still arrives on those that cannot
        be handed over is passed to it. `park`: the group does not leave but stays, warm.
        """
        ...

    def rest(self, endpoint: str, release: str) -> bool:
        """Take a drain back: the group stays warm without accepting."""
        ...

    def stop(self, endpoint: str, release: str) -> bool:
        """End the group's workers after what they are answering now."""
        ...

    def close(self, endpoint: str) -> None:
        """Close the listening socket."""
        ...

    def shut_down(self, grace_seconds: float) -> None:
        """End every worker: gently, and by force what is left after `grace_seconds`."""
        ...

    def let_go(self) -> None:
        """Forget the workers and leave them running, for the next agent to adopt."""
        ...
