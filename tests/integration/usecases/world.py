"""Everything a use case touches, on a real database file, with a clock a test moves and an agent without processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lockgate.adapters.policyfile import parse_policy
from lockgate.adapters.sql.ledger import SqlAgentLedger
from lockgate.adapters.sql.queue import SqlQueue
from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.system import SortableIds
from lockgate.controller.loop import Controller
from lockgate.domain.identity import Who
from lockgate.domain.promotion import Kind, Promotion
from lockgate.domain.serving import Endpoint, GroupState, ObservedGroup
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef
from lockgate.testing.artifacts import ArtifactsInMemory
from lockgate.testing.sandbox import ScriptedSandbox
from lockgate.usecases import apply_policy, approve, promote, roll_back
from lockgate.usecases.ports import Lifecycle, Ports, Recorded
from tests.contracts.databases import Mlflow
from tests.databases.backends import Database

ANA, BEN = Who("ana", via="test"), Who("ben", via="test")
M = "fraud"
STAGING, PRODUCTION = Stage.STAGING, Stage.PRODUCTION


@dataclass
class HandClock:
    """A clock that stands still until it is moved."""

    at: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)


class ScriptedAgent:
    """Writes what an agent would: a release is ready as soon as it is asked for, unless the test says otherwise."""

    def __init__(self, store: SqlStore) -> None:
        self._ledger = SqlAgentLedger(store, "here")
        self.fails: dict[int, str] = {}
        self.idle = False

    def step(self) -> None:
        """Report every wanted release and acknowledge every committed generation."""
        if self.idle:
            return
        seen: list[ObservedGroup] = []
        for want in self._ledger.desired():
            endpoint = want.endpoint
            for release, state in ((endpoint.release, GroupState.SERVING), (endpoint.candidate, GroupState.READY)):
                if release is not None:
                    failure = self.fails.get(release.ref.version, "")
                    seen.append(
                        ObservedGroup(endpoint.id, release.id, GroupState.FAILED if failure else state, failure)
                    )
            if endpoint.port is None:
                self._ledger.bound(endpoint.id, 6000)
        self._ledger.report(seen)
        for want in self._ledger.desired():
            self._ledger.acknowledge(want.endpoint.id, want.endpoint.generation)


class World:
    """A node without processes: `settle` lets controller and agent work until nothing is due any more."""

    def __init__(self, database: Database, policy: str) -> None:
        self.engine = database.engine
        self.clock = HandClock()
        self.store = SqlStore(self.engine, parse_policy, clock=self.clock)
        self.queue = SqlQueue(self.store)
        self.artifacts, self.sandbox = ArtifactsInMemory(), ScriptedSandbox()
        self.mlflow = Mlflow(self.engine)
        self.agent = ScriptedAgent(self.store)
        self.ports = self.ports_of("first")
        self.policy(policy)
        self.mlflow.model(M)
        self._versions = 0

    def ports_of(self, owner: str) -> Ports:
        """What another process with that name would hold."""
        ids = SortableIds()
        return Ports(self.store, self.queue, self.artifacts, self.clock, ids, owner, self.clock.now())

    def policy(self, text: str) -> None:
        """Put a policy in force."""
        if text:
            apply_policy.apply(self.ports, text, parse_policy, ANA)

    def register(self, *, metrics: dict[str, float | None] | None = None, **tags: str) -> VersionRef:
        """The next version, in stage None, with readable artifacts."""
        self._versions += 1
        number = self._versions
        location, run = f"mem:/{number}", f"run{number}"
        self.mlflow.run(run, metrics if metrics is not None else {"accuracy": 0.95})
        self.mlflow.version(M, number, location=location, run_id=run, tags=tags)
        self.artifacts.put(location)
        ref = VersionRef(M, number)
        with self.store.writing(M) as work:
            work.versions.add_model(M)
            work.versions.register(ref, ANA, self.clock.now())
        return ref

    # --- what people ask for

    def ask(self, ref: VersionRef, stage: Stage, **how: Any) -> Promotion:
        """As a plain client asks for a transition."""
        told: dict[str, Any] = {"kind": Kind.TRANSITION, "who": ANA, **how}
        return promote.ask(self.ports, promote.Ask(ref, stage, **told))

    def promote(self, ref: VersionRef, stage: Stage, **how: Any) -> Promotion:
        """As `lockgate promote` does."""
        told: dict[str, Any] = {"kind": Kind.PROMOTE, "lasting": True, "archive_existing": True, **how}
        return self.ask(ref, stage, **told)

    def done(self, ref: VersionRef, stage: Stage, **how: Any) -> Promotion:
        """A promotion that is seen to its good end."""
        opened = self.promote(ref, stage, **how)
        ended = self.look(opened) if opened.id else opened
        assert ended.state == "done", ended
        return ended

    def served(self, *refs: VersionRef) -> None:
        """Each has been in Production and served there, one after the other; the last still does."""
        for ref in refs:
            self.done(ref, PRODUCTION)
            self.clock.forward(seconds=1)

    def approved(self, ref: VersionRef, stage: Stage = PRODUCTION) -> None:
        approve.request(self.ports, ref, ANA, "please", stage)
        approve.decide(self.ports, ref, BEN, approved=True, comment="yes", stage=stage)

    def roll_back(self, **how: Any) -> Promotion:
        opened = roll_back.ask(self.ports, M, how.pop("who", ANA), "it is bad", **how)
        return self.look(opened)

    # --- what the other processes do

    def settle(self, owner: str = "controller") -> None:
        """Let agent, controller and validator work until nothing more happens at this moment."""
        controller = Controller(self.ports_of(owner), self.sandbox)
        for _ in range(50):
            self.agent.step()
            did = [controller.advance_one(), controller.validate_one()]
            if not any(did):
                if not self._comes_soon():
                    return
                self.clock.forward(milliseconds=100)
        raise AssertionError("it does not settle")

    def _comes_soon(self) -> bool:
        """Whether a promotion looks again within the second: its endpoint is moving."""
        with self.store.reading() as work:
            moving = [p for p in work.promotions.open_of_model(M) if p.state.moves_endpoint]
        return bool(moving) and not self.agent.idle

    def look(self, promotion: Promotion) -> Promotion:
        """Let everybody work, then the promotion as it is."""
        self.settle()
        return promote.look(self.ports, promotion.id)

    # --- what is on record

    def row(self, ref: VersionRef) -> Lifecycle:
        with self.store.reading() as work:
            found = work.versions.get(ref)
        assert found is not None
        return found

    def stages(self) -> dict[int, str]:
        """The stage of every version, which must be the same in our rows and in MLflow's."""
        with self.store.reading() as work:
            ours = {row.ref.version: row.stage.value for row in work.versions.of_model(M)}
        assert ours == {number: self.mlflow.stage_of(M, number) for number in ours}
        return ours

    def aliases(self, ref: VersionRef) -> tuple[str, ...]:
        with self.store.reading() as work:
            found = work.catalog.version(ref)
        assert found is not None
        return found.aliases

    def tag(self, ref: VersionRef, key: str) -> str | None:
        with self.store.reading() as work:
            found = work.catalog.version(ref)
        assert found is not None
        return found.tags.get(key)

    def endpoint(self, environment: str = "production") -> Endpoint | None:
        with self.store.reading() as work:
            return work.endpoints.get(environment, M)

    def serving(self, environment: str = "production") -> Endpoint:
        found = self.endpoint(environment)
        assert found is not None
        return found

    def open(self) -> list[Promotion]:
        with self.store.reading() as work:
            return list(work.promotions.open_of_model(M))

    def recorded(self, action: str | None = None) -> list[Recorded]:
        """The model's entries, oldest first; the record itself must hold."""
        with self.store.reading() as work:
            assert work.record.verify()[1] == []
            return list(reversed(work.record.read(model=M, action=action, limit=1000)))

    @contextmanager
    def records(self, *actions: str) -> Iterator[None]:
        """The block writes exactly these entries, each as often as it is named."""
        before = Counter(str(each.plain["action"]) for each in self.recorded())
        yield
        after = Counter(str(each.plain["action"]) for each in self.recorded())
        assert after - before == Counter(actions)
