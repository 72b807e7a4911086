"""Endpoint and release rows, and what the agents saw of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, select, update

from lockgate.adapters.sql.dialects import insert_if_new
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import endpoint_of, group_of, release_of
from lockgate.adapters.sql.tables import HAS_LEFT, NOT_RETIRED, endpoints, groups, models, releases
from lockgate.domain.errors import Conflict, NotFound
from lockgate.domain.serving import Endpoint, EndpointState, ObservedGroup, Release


class SqlEndpoints:
    """`Endpoints`."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        # what this transaction has read and not written since: one promotion asks for it several times
        self._read: dict[str, Sequence[Endpoint]] = {}

    def get(self, environment: str, model: str) -> Endpoint | None:
        return next((endpoint for endpoint in self.of_model(model) if endpoint.environment == environment), None)

    def by_id(self, id: str) -> Endpoint | None:
        return next(iter(self.where(endpoints.c.id == id)), None)

    def all(self) -> Sequence[Endpoint]:
        return self.where(NOT_RETIRED)

    def of_model(self, model: str) -> Sequence[Endpoint]:
        if model not in self._read:
            self._read[model] = self._endpoints(_OF_MODEL, {"model_id": self._names.key(model)})
        return self._read[model]

    def create(self, id: str, environment: str, model: str, at: datetime) -> Endpoint:
        """Add a pending one; the environment's present endpoint of that model, if there is one, is given instead."""
        values = {
            "id": id,
            "environment": environment,
            "model_id": self._names.ensure(model),
            "generation": 0,
            "acknowledged": 0,
            "state": EndpointState.PENDING.value,
            "because": "",
            "created_at": at,
        }
        self._read.clear()
        insert_if_new(self._connection, endpoints, values, [endpoints.c.model_id, endpoints.c.environment], NOT_RETIRED)
        found = self.get(environment, model)
        if found is None:
            raise RuntimeError(f"endpoint {id} was inserted and is not there")
        return found

    def warm(self, endpoint: str, release: Release | None) -> None:
        self._read.clear()
        if release is not None:
            self._add(release)
        candidate = release.id if release else None
        self._connection.execute(update(endpoints).where(endpoints.c.id == endpoint).values(candidate=candidate))

    def commit(self, endpoint: str, release: str, at: datetime) -> int:
        """Make the candidate the committed release; the new generation. Raises Conflict when it is another."""
        self._read.clear()
        before = select(endpoints.c.release).where(endpoints.c.id == endpoint).scalar_subquery()
        self._connection.execute(update(releases).where(releases.c.id == before).values(left_at=at))
        # one that served before takes over again: it bakes again, so that the last known good is the one baked last
        again = (releases.c.id == release, HAS_LEFT)
        self._connection.execute(update(releases).where(*again).values(left_at=None, baked_at=None))
        here = (endpoints.c.id == endpoint, endpoints.c.candidate == release)
        values = {"release": release, "candidate": None, "generation": endpoints.c.generation + 1}
        if self._connection.execute(update(endpoints).where(*here).values(values)).rowcount == 0:
            message = f"Release {release} is not the one being warmed on endpoint {endpoint}."
            raise Conflict(message, hint="Another rollout took the endpoint: ask for the promotion again.")
        reached = select(endpoints.c.generation).where(endpoints.c.id == endpoint)
        return int(self._connection.execute(reached).scalar_one())

    def set_state(self, endpoint: str, state: str, because: str = "") -> None:
        """Set the state and its reason. Raises NotFound when there is no such endpoint."""
        self._read.clear()
        values = {"state": EndpointState(state).value, "because": because}
        if self._connection.execute(update(endpoints).where(endpoints.c.id == endpoint).values(values)).rowcount == 0:
            raise NotFound(f"There is no endpoint {endpoint}.", hint="lockgate endpoints lists them.")

    def bake(self, release: str, at: datetime) -> None:
        self._read.clear()
        here = (releases.c.id == release, releases.c.baked_at.is_(None))
        self._connection.execute(update(releases).where(*here).values(baked_at=at))

    def releases(self, endpoint: str) -> Sequence[Release]:
        rows = _release_rows().where(releases.c.endpoint == endpoint)
        newest_first = (releases.c.created_at.desc(), releases.c.id.desc())
        return [release_of(row) for row in self._connection.execute(rows.order_by(*newest_first))]

    def release(self, id: str) -> Release | None:
        row = self._connection.execute(_release_rows().where(releases.c.id == id)).first()
        return None if row is None else release_of(row)

    def observed(self, endpoint: str) -> Sequence[ObservedGroup]:
        rows = select(groups).where(groups.c.endpoint == endpoint).order_by(groups.c.release, groups.c.agent)
        return [group_of(row) for row in self._connection.execute(rows)]

    def observed_release(self, release: str) -> ObservedGroup | None:
        rows = select(groups).where(groups.c.release == release).order_by(groups.c.seen_at.desc()).limit(1)
        row = self._connection.execute(rows).first()
        return None if row is None else group_of(row)

    def where(self, *here: ColumnElement[bool]) -> list[Endpoint]:
        """The endpoints for which all of `here` holds, by environment and model."""
        return self.everywhere(models.c.workspace == self._names.workspace, *here)

    def everywhere(self, *here: ColumnElement[bool]) -> list[Endpoint]:
        """As `where`, in all workspaces: an agent serves them all."""
        return self._endpoints(_ROWS.where(*here), {})

    def _endpoints(self, wanted: Select[Any], values: dict[str, Any]) -> list[Endpoint]:
        rows = self._connection.execute(wanted, values).all()
        ids = {id for row in rows for id in (row.release, row.candidate) if id is not None}
        serving = self._releases(ids) if ids else {}
        return [endpoint_of(row, serving) for row in rows]

    def _releases(self, ids: set[str]) -> dict[str, Release]:
        rows = self._connection.execute(_release_rows().where(releases.c.id.in_(ids)))
        return {row.id: release_of(row) for row in rows}

    def _add(self, release: Release) -> None:
        engine, _, converted = release.engine.partition(" ")
        values = {
            "id": release.id,
            "endpoint": release.endpoint,
            "model_id": self._names.ensure(release.ref.model),
            "version": release.ref.version,
            "digest": release.digest,
            "engine": engine,
            "converted": converted,
            "promotion": release.promotion,
            "created_at": release.created_at,
            "baked_at": release.baked_at,
        }
        insert_if_new(self._connection, releases, values, [releases.c.id])


def _release_rows() -> Select[Any]:
    return select(releases, models.c.name.label("model")).join(models, models.c.id == releases.c.model_id)


# made once: making a statement takes longer than running it
_ROWS = (
    select(endpoints, models.c.name.label("model"))
    .join(models, models.c.id == endpoints.c.model_id)
    .order_by(endpoints.c.environment, models.c.name, endpoints.c.id)
)
_OF_MODEL = _ROWS.where(endpoints.c.model_id == bindparam("model_id"), NOT_RETIRED)
