"""The record as an agent sees it: what should serve, on which port, and what it saw instead."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from sqlalchemy import delete, insert, select, update

from lockgate.adapters.sql.endpoint_tokens import digests
from lockgate.adapters.sql.parking import parked
from lockgate.adapters.sql.splits import beside, divided, workspaces
from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.sql.tables import NOT_RETIRED, endpoints, groups
from lockgate.domain.policy import Policy
from lockgate.domain.serving import DesiredEndpoint, Endpoint, EndpointState, ObservedGroup

_LARGEST_PORT = 65_535
_REMEMBERED_SECONDS = 0.9


class SqlAgentLedger:
    """`AgentLedger` for the agent of that name. `host` is the address its endpoints listen on."""

    def __init__(self, store: SqlStore, agent: str, host: str = "127.0.0.1") -> None:
        self._store = store
        self._agent = agent
        self._host = host
        self._rest = store.rest()
        self._found: Sequence[DesiredEndpoint] = ()

    def desired(self) -> Sequence[DesiredEndpoint]:
        """Endpoints that aren't retired, and retired ones whose workers were still seen; those with a port first."""
        if self._rest.holds():
            return self._found
        mark = self._rest.mark()
        with self._store.reading() as work:
            seen = select(groups.c.endpoint).where(groups.c.agent == self._agent)
            found = work.endpoints.everywhere(NOT_RETIRED | endpoints.c.id.in_(seen))
            policy = work.policies.in_force()
            tokens = digests(work.connection)
            kept = {endpoint.id: policy.endpoint_rule(endpoint.model).park for endpoint in found}
            warm = parked(work.connection, self._store.moment(work.connection), kept) if any(kept.values()) else {}
            shared, others = divided(work.connection), beside(work.connection, policy, found)
            workspace = workspaces(work.connection)
            oldest_first = select(endpoints.c.id).order_by(endpoints.c.created_at, endpoints.c.id)
            age = {id: place for place, id in enumerate(work.connection.execute(oldest_first).scalars())}
        ordered = sorted(found, key=lambda e: (e.port is None, age[e.id]))
        self._found = [
            replace(
                want,
                parked=warm.get(want.endpoint.id, ()),
                workspace=workspace.get(want.endpoint.id, ""),
                beside=others.get(want.endpoint.id, ()),
                split=shared.get(want.endpoint.id),
            )
            for want in self._with_ports(ordered, policy, tokens)
        ]
        # what is parked leaves with time alone, and a second late is soon enough
        self._rest.begin(mark, _REMEMBERED_SECONDS)
        return self._found

    def bound(self, endpoint: str, port: int) -> None:
        self._rest.end()
        with self._store.changing() as work:
            here = endpoints.c.id == endpoint
            work.connection.execute(update(endpoints).where(here).values(port=port))

    def report(self, observed: Sequence[ObservedGroup]) -> None:
        self._rest.end()
        with self._store.changing() as work:
            now = self._store.now(work.connection)
            work.connection.execute(delete(groups).where(groups.c.agent == self._agent))
            rows = [
                {
                    "agent": self._agent,
                    "endpoint": group.endpoint,
                    "release": group.release,
                    "state": group.state.value,
                    "because": group.because,
                    "pids": json.dumps(list(group.pids)),
                    "seen_at": now,
                    "memory": group.memory,
                }
                for group in observed
            ]
            if rows:
                work.connection.execute(insert(groups), rows)

    def acknowledge(self, endpoint: str, generation: int) -> None:
        """Only moves forward, and never past what is committed. An endpoint that was pending or degraded serves now."""
        self._rest.end()
        with self._store.changing() as work:
            here = (
                endpoints.c.id == endpoint,
                endpoints.c.acknowledged < generation,
                endpoints.c.generation >= generation,
            )
            moved = update(endpoints).where(*here).values(acknowledged=generation, differs="")
            if work.connection.execute(moved).rowcount:
                waiting = endpoints.c.state.in_([EndpointState.PENDING.value, EndpointState.DEGRADED.value])
                serves = {"state": EndpointState.SERVING.value, "because": ""}
                work.connection.execute(update(endpoints).where(endpoints.c.id == endpoint, waiting).values(serves))

    def degrade(self, endpoint: str, because: str) -> None:
        self._rest.end()
        with self._store.changing() as work:
            here = (endpoints.c.id == endpoint, endpoints.c.differs != because)
            work.connection.execute(update(endpoints).where(*here).values(differs=because))

    def _with_ports(
        self, found: Sequence[Endpoint], policy: Policy, tokens: Mapping[str, tuple[str, ...]]
    ) -> Iterable[DesiredEndpoint]:
        """The first endpoint of an environment gets the environment's own port; a further one the next nobody holds."""
        environments = {e.name: e.port for e in policy.environments}
        own = {port for port in environments.values() if port}
        held = {e.port for e in found if e.port is not None}
        first_of: set[str] = {e.environment for e in found if e.port and e.port == environments.get(e.environment)}
        for endpoint in found:
            wanted = environments.get(endpoint.environment, 0)
            is_first = wanted == 0 or endpoint.port == wanted
            if endpoint.port is not None:
                wanted = endpoint.port
            elif wanted and endpoint.environment not in first_of:
                first_of.add(endpoint.environment)
                is_first = True
            elif wanted:
                wanted = next((port for port in count(wanted + 1) if port not in own | held), 0)
                wanted = wanted if wanted <= _LARGEST_PORT else 0
            held.add(wanted)
            rule = policy.endpoint_rule(endpoint.model)
            yield DesiredEndpoint(
                endpoint=endpoint,
                host=self._host,
                preferred_port=wanted,
                may_take_next=not is_first,
                rule=rule,
                tokens=tokens.get(endpoint.id, ()),
            )
