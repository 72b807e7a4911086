"""An agent's ledger without a database: in memory, or in one file that two processes can share."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lockgate.domain.serving import DesiredEndpoint, Endpoint, EndpointState, ObservedGroup, Release


@dataclass
class _Record:
    desired: dict[str, DesiredEndpoint] = field(default_factory=dict)
    observed: tuple[ObservedGroup, ...] = ()
    reports: int = 0


class FakeAgentLedger:
    """Keeps the promises of `AgentLedger`, and lets a test commit what the server and the controller would.

    With a `path` the record lives in that file, each change under a lock and written whole. `away` makes every
    method that an agent calls fail like a database that does not answer.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._record = _Record()
        self.away = False

    # --- what an agent calls

    def desired(self) -> Sequence[DesiredEndpoint]:
        """Endpoints that aren't retired, and retired ones whose workers were still seen."""
        self._answer()
        with self._open() as record:
            seen = {group.endpoint for group in record.observed}
            return [
                want
                for want in record.desired.values()
                if want.endpoint.state is not EndpointState.RETIRED or want.endpoint.id in seen
            ]

    def bound(self, endpoint: str, port: int) -> None:
        """Record the port an endpoint got."""
        self._answer()
        self._change(endpoint, lambda old: replace(old, port=port))

    def report(self, observed: Sequence[ObservedGroup]) -> None:
        """Record everything the agent sees now."""
        self._answer()
        with self._open(write=True) as record:
            record.observed = tuple(observed)
            record.reports += 1

    def acknowledge(self, endpoint: str, generation: int) -> None:
        """Record that the generation serves; an older one than is known changes nothing."""
        self._answer()

        def change(old: Endpoint) -> Endpoint:
            return replace(old, acknowledged=max(old.acknowledged, generation), state=EndpointState.SERVING)

        self._change(endpoint, change)

    def degrade(self, endpoint: str, because: str) -> None:
        """Record that what is seen is not what is committed, or no longer."""
        self._answer()
        state = EndpointState.DEGRADED if because else EndpointState.SERVING
        self._change(endpoint, lambda old: replace(old, state=state, because=because))

    # --- what a test does in place of server and controller

    def want(self, desired: DesiredEndpoint) -> None:
        """Add an endpoint, or replace all that is known of it."""
        with self._open(write=True) as record:
            record.desired[desired.endpoint.id] = desired

    def warm(self, endpoint: str, release: Release | None) -> None:
        """Set or clear the release to be held ready beside the committed one."""
        self._change(endpoint, lambda old: replace(old, candidate=release))

    def commit(self, endpoint: str, release: Release) -> int:
        """Make `release` the committed one and give the new generation. The one before is parked, if any are."""
        with self._open(write=True) as record:
            want = record.desired[endpoint]
            old = want.endpoint
            now = replace(old, release=release, candidate=None, generation=old.generation + 1)
            left = (old.release, *want.parked) if old.release is not None and want.rule.park else ()
            # each once, however often it came back
            parked = tuple({each.id: each for each in left if each.id != release.id}.values())
            record.desired[endpoint] = replace(want, endpoint=now, parked=parked)
        return now.generation

    def retire(self, endpoint: str) -> None:
        """Let the endpoint end."""
        self._change(endpoint, lambda old: replace(old, state=EndpointState.RETIRED))

    def admit(self, endpoint: str, tokens: Sequence[str]) -> None:
        """Let the endpoint take these tokens, told by their digests."""
        with self._open(write=True) as record:
            record.desired[endpoint] = replace(record.desired[endpoint], tokens=tuple(tokens))

    def endpoint(self, endpoint: str) -> Endpoint:
        """The endpoint as it is on record."""
        with self._open() as record:
            return record.desired[endpoint].endpoint

    def observed(self, endpoint: str) -> dict[str, ObservedGroup]:
        """What was last reported of an endpoint, by release."""
        with self._open() as record:
            return {group.release: group for group in record.observed if group.endpoint == endpoint}

    @property
    def reports(self) -> int:
        """How often something was reported."""
        with self._open() as record:
            return record.reports

    def _change(self, endpoint: str, change: Callable[[Endpoint], Endpoint]) -> None:
        with self._open(write=True) as record:
            old = record.desired[endpoint]
            record.desired[endpoint] = replace(old, endpoint=change(old.endpoint))

    def _answer(self) -> None:
        if self.away:
            raise ConnectionError("the database does not answer")

    @contextmanager
    def _open(self, *, write: bool = False) -> Iterator[_Record]:
        if self._path is None:
            yield self._record
            return
        with open(self._path.with_suffix(".lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # our own file of our own test: nobody else writes it
            record = pickle.loads(self._path.read_bytes()) if self._path.exists() else _Record()  # noqa: S301
            yield record
            if write:
                whole = self._path.with_suffix(".tmp")
                whole.write_bytes(pickle.dumps(record))
                os.replace(whole, self._path)
