"""The agent: looks, decides, acts, for ever. It remembers nothing that matters, so it may be killed at any moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, assert_never

import structlog

from lockgate.agent.apart import must_be_apart
from lockgate.agent.decide import (
    Acknowledge,
    Action,
    Bind,
    Close,
    Drain,
    Ensure,
    Go,
    Rest,
    Stop,
    decide,
    disagreement,
)
from lockgate.agent.traffic import divisions, neighbours, set_apart
from lockgate.domain.errors import LockgateError
from lockgate.domain.serving import DesiredEndpoint, EndpointState, ObservedGroup, Release
from lockgate.usecases.serving_ports import AgentLedger, GroupOrder, GroupSeen, WorkerGroups

_HEARTBEAT_SECONDS = 2.0
_PATIENCE_SECONDS = 1.0
_PORT_RETRY_SECONDS = 1.0
_MOST_STEPS_WITHOUT_PAUSE = 20
_DEEDS_OF_A_CUTOVER = 3  # go, drain, acknowledge
_T = TypeVar("_T")

_log = structlog.get_logger("lockgate.agent")


class Agent:
    """Makes the workers of this machine agree with the record.

    `cache_path` gives the local folder that holds the artifacts of a digest. `reserved_ports` are kept free for the
    environments they belong to. The record may be away: workers then go on as they were last wanted.
    """

    def __init__(
        self,
        ledger: AgentLedger,
        groups: WorkerGroups,
        cache_path: Callable[[str], Path],
        *,
        reserved_ports: Sequence[int] = (),
        period: float = 0.1,
        grace_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._groups = groups
        self._cache_path = cache_path
        self._reserved = frozenset(reserved_ports)
        self._period = period
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._now = now
        self._desired: Sequence[DesiredEndpoint] | None = None
        self._refused: dict[str, tuple[str, float]] = {}
        self._differs_since: dict[str, float] = {}
        self._told: dict[str, tuple[str, float]] = {}
        self._reported: tuple[ObservedGroup, ...] | None = None
        self._reported_at = 0.0
        self._away = False
        self._folders: dict[str, Path] = {}

    def run(self, stop: threading.Event, *, leave_workers: threading.Event | None = None) -> None:
        """Work until `stop` is set; then end the workers, or leave them to the next agent if `leave_workers` is set.

        Raises Unavailable when another agent already works on the same folder.
        """
        self._groups.adopt()
        steps = 0
        while not stop.is_set():
            if self.step() and steps < _MOST_STEPS_WITHOUT_PAUSE:
                steps += 1  # one deed allows the next: a cutover takes three
                continue
            steps = 0
            stop.wait(self._period)
        if leave_workers is not None and leave_workers.is_set():
            self._groups.let_go()
            return
        self._groups.shut_down(self._grace_seconds)
        self._asked("report", lambda: self._ledger.report(()))

    def step(self) -> bool:
        """Look, decide and act once. True when something was done that may allow the next thing."""
        told = self._asked("desired", self._ledger.desired)
        if told is not None:
            self._desired = told
        if self._desired is not None:
            for want in self._desired:  # before they are started, and before they take traffic
                self._groups.admit(want.endpoint.id, want.tokens)
        seen = self._groups.look()
        self._report(seen)
        if self._desired is None:
            return False  # nothing is known yet, so nothing is ended
        apart = {want.endpoint.id: set_apart(want, self._must_be_apart) for want in self._desired}
        self._tell_traffic(self._desired, seen, apart)
        if self._carry_out(self._desired, seen, frozenset[str]().union(*apart.values())):
            return True  # what was seen is no longer so: the next step looks again, at once
        self._tell_differences(self._desired, seen)
        return False

    def _carry_out(self, desired: Sequence[DesiredEndpoint], seen: Sequence[GroupSeen], apart: frozenset[str]) -> bool:
        """Do what the facts allow. True when something was done.

        The deeds of a cutover follow one another without asking the record in between: blue and green both accept.
        Whatever else is to be done, as ending what is parked no longer, waits until the traffic has moved.
        """
        done = False
        for _ in range(_DEEDS_OF_A_CUTOVER):
            actions = decide(desired, seen, self._groups.ports(), self._reserved, apart)
            moved = [action for action in actions if isinstance(action, Go | Drain) and self._act(action)]
            if not moved:
                others = [action for action in actions if not isinstance(action, Go | Drain) and self._act(action)]
                return done or bool(others)
            done = True
            seen = self._groups.look()
        return done

    def _tell_traffic(
        self, desired: Sequence[DesiredEndpoint], seen: Sequence[GroupSeen], apart: Mapping[str, frozenset[str]]
    ) -> None:
        """Before anybody takes traffic: who else answers, and what is whose share."""
        where = neighbours(desired, seen, self._groups.ports())
        for want in desired:
            endpoint = want.endpoint.id
            self._groups.introduce(endpoint, where[endpoint])
            for release, division in divisions(want, seen, apart[endpoint], self._folder).items():
                self._groups.divide(endpoint, release, division)

    def _must_be_apart(self, want: DesiredEndpoint, release: Release) -> bool:
        committed = want.endpoint.release
        one, other = self._folder(release.digest), self._folder(committed.digest) if committed is not None else None
        return one is not None and other is not None and must_be_apart(one, other)

    def _folder(self, digest: str) -> Path | None:
        """The local artifacts of a digest, None while they are not here."""
        if digest not in self._folders:
            try:
                self._folders[digest] = self._cache_path(digest)
            except LockgateError as error:
                _log.warning("the artifacts cannot be found", digest=digest, because=str(error))
                return None
        return self._folders[digest]

    def _act(self, action: Action) -> bool:
        match action:
            case Bind():
                return self._bind(action)
            case Ensure(desired, release):
                return self._ensure(desired, release)
            case Go(endpoint, release_id):
                return self._logged(action, self._groups.go(endpoint, release_id))
            case Drain(endpoint, release_id, forward, park):
                return self._logged(action, self._groups.drain(endpoint, release_id, forward=forward, park=park))
            case Rest(endpoint, release_id):
                return self._logged(action, self._groups.rest(endpoint, release_id))
            case Stop(endpoint, release_id):
                return self._logged(action, self._groups.stop(endpoint, release_id))
            case Close(endpoint):
                self._groups.close(endpoint)
                return self._logged(action, True)
            case Acknowledge(endpoint, generation):
                return self._acknowledge(endpoint, generation)
            case _:
                assert_never(action)

    def _ensure(self, desired: DesiredEndpoint, release: Release) -> bool:
        endpoint = desired.endpoint
        try:
            artifacts = self._cache_path(release.digest)
        except LockgateError as error:
            _log.warning("the artifacts cannot be found", release=release.id, because=str(error))
            return False
        order = GroupOrder(endpoint.id, release, endpoint.generation, desired.rule, artifacts, endpoint.environment)
        return self._groups.ensure(order)

    def _bind(self, action: Bind) -> bool:
        _, again_at = self._refused.get(action.endpoint, ("", 0.0))
        if self._clock() < again_at:
            return False
        try:
            port = self._groups.bind(action.endpoint, action.host, action.ports)
        except LockgateError as error:
            self._refused[action.endpoint] = (str(error), self._clock() + _PORT_RETRY_SECONDS)
            return False
        self._refused.pop(action.endpoint, None)
        self._asked("bound", lambda: self._ledger.bound(action.endpoint, port))
        return self._logged(action, True)

    def _acknowledge(self, endpoint: str, generation: int) -> bool:
        try:
            self._ledger.acknowledge(endpoint, generation)
        except Exception as error:  # noqa: BLE001 - the record is away: the next step finds the same facts and repeats it
            self._log_absence("acknowledge", error)
            return False
        _log.info("acknowledged", endpoint=endpoint, generation=generation)
        return True

    def _report(self, seen: Sequence[GroupSeen]) -> None:
        observed = tuple(
            ObservedGroup(
                endpoint=group.endpoint,
                release=group.release,
                state=group.state,
                because=group.failed,
                pids=tuple(worker.pid for worker in group.workers),
                memory=group.memory,
            )
            for group in seen
        )
        if observed == self._reported and self._clock() - self._reported_at < _HEARTBEAT_SECONDS:
            return
        at = self._now()
        try:
            self._ledger.report([replace(group, seen_at=at) for group in observed])
        except Exception as error:  # noqa: BLE001 - the record is away: reported again with the next step
            self._log_absence("report", error)
            return
        self._reported, self._reported_at = observed, self._clock()

    def _tell_differences(self, desired: Sequence[DesiredEndpoint], seen: Sequence[GroupSeen]) -> None:
        ports = self._groups.ports()
        for want in desired:
            endpoint = want.endpoint
            refusal = "" if endpoint.id in ports else self._refused.get(endpoint.id, ("", 0.0))[0]
            told = disagreement(want, seen, refusal)
            if told:
                since = self._differs_since.setdefault(endpoint.id, self._clock())
                told = told if self._clock() - since > _PATIENCE_SECONDS else ""
            else:
                self._differs_since.pop(endpoint.id, None)
            known = endpoint.because if endpoint.state is EndpointState.DEGRADED else ""
            if told != known and (told or endpoint.id not in self._differs_since):
                self._degrade(endpoint.id, told)

    def _degrade(self, endpoint: str, because: str) -> None:
        last, at = self._told.get(endpoint, (None, 0.0))
        if because == last and self._clock() - at < _HEARTBEAT_SECONDS:
            return
        try:
            self._ledger.degrade(endpoint, because)
        except Exception as error:  # noqa: BLE001 - the record is away: told again with the next step
            self._log_absence("degrade", error)
            return
        self._told[endpoint] = (because, self._clock())
        _log.info("degraded" if because else "no longer degraded", endpoint=endpoint, because=because)

    def _asked(self, what: str, ask: Callable[[], _T]) -> _T | None:
        """The ledger's answer, or None when it is away: a database's error must not take the workers down."""
        try:
            answer = ask()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises means the same here
            self._log_absence(what, error)
            return None
        if self._away and what == "desired":
            self._away = False
            _log.info("the record is back")
        return answer

    def _log_absence(self, what: str, error: Exception) -> None:
        if not self._away:
            _log.warning("the record does not answer; workers go on as they are", asked=what, error=str(error))
        self._away = True

    def _logged(self, action: Action, done: bool) -> bool:
        _log.info("did" if done else "could not", action=action)
        return done
