"""How requests are divided among versions, and the releases that an agent is told to let answer beside the primary."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, insert, select

from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import release_of
from lockgate.adapters.sql.split_tables import splits
from lockgate.adapters.sql.tables import NOT_RETIRED, endpoints, models, releases, versions
from lockgate.domain.policy import Policy
from lockgate.domain.serving import Release
from lockgate.domain.traffic import SetSplit, Split

_MOST_LOOKED_AT = 1000


class SqlSplits:
    """`Splits`."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def get(self, environment: str, model: str) -> SetSplit | None:
        return next(iter(self.of(model, environment)), None)

    def of(self, model: str | None = None, environment: str | None = None) -> Sequence[SetSplit]:
        here: list[ColumnElement[bool]] = [models.c.workspace == self._names.workspace]
        here += [] if model is None else [splits.c.model_id == self._names.key(model)]
        here += [] if environment is None else [splits.c.environment == environment]
        rows = select(splits, models.c.name.label("model")).join(models).where(*here)
        ordered = rows.order_by(models.c.name, splits.c.environment)
        return [_split_of(row) for row in self._connection.execute(ordered)]

    def put(self, split: SetSplit) -> None:
        self.remove(split.environment, split.model)
        values = {
            "model_id": self._names.ensure(split.model),
            "environment": split.environment,
            "split": json.dumps(split.split.plain()),
            "set_by": split.set_by,
            "set_at": split.set_at,
        }
        self._connection.execute(insert(splits).values(values))

    def remove(self, environment: str, model: str) -> None:
        here = (splits.c.model_id == self._names.key(model), splits.c.environment == environment)
        self._connection.execute(delete(splits).where(*here))


def divided(connection: Connection) -> Mapping[str, Split]:
    """Of each endpoint in any workspace, how its requests are divided; those of which nothing was said are left out."""
    rows = select(endpoints.c.id, splits.c.split).join(
        splits, (splits.c.model_id == endpoints.c.model_id) & (splits.c.environment == endpoints.c.environment)
    )
    return {row.id: Split.of(json.loads(row.split)) for row in connection.execute(rows.where(NOT_RETIRED))}


def beside(connection: Connection, policy: Policy) -> Mapping[str, tuple[Release, ...]]:
    """Of each endpoint the releases of further versions that hold its environment's stage, the newest first.

    Of each version it is the last one with the files that are pinned now. None of a version that is quarantined.
    """
    stages = {place.name: place.stage.value for place in policy.environments}
    found: dict[str, dict[int, Release]] = defaultdict(dict)
    for row in connection.execute(_BESIDE):
        if row.stage == stages.get(row.environment):
            release = release_of(row)
            found[release.endpoint].setdefault(release.ref.version, release)
    return {endpoint: tuple(there.values()) for endpoint, there in found.items()}


def workspaces(connection: Connection) -> Mapping[str, str]:
    """The workspace of every endpoint."""
    rows = select(endpoints.c.id, models.c.workspace).join(models, models.c.id == endpoints.c.model_id)
    return {row.id: row.workspace for row in connection.execute(rows)}


def _split_of(row: Row[Any]) -> SetSplit:
    return SetSplit(row.environment, row.model, Split.of(json.loads(row.split)), row.set_by, row.set_at)


_SERVING = releases.alias("serving")
_BESIDE: Select[Any] = (
    select(releases, models.c.name.label("model"), versions.c.stage, endpoints.c.environment)
    .join(models, models.c.id == releases.c.model_id)
    .join(endpoints, endpoints.c.id == releases.c.endpoint)
    .join(_SERVING, _SERVING.c.id == endpoints.c.release)
    .join(versions, (versions.c.model_id == releases.c.model_id) & (versions.c.version == releases.c.version))
    .where(
        NOT_RETIRED,
        releases.c.version != _SERVING.c.version,
        releases.c.digest == versions.c.digest,
        versions.c.stage.in_(("Staging", "Production")),
        versions.c.quarantined_at.is_(None),
        versions.c.deleted_at.is_(None),
    )
    .order_by(releases.c.created_at.desc(), releases.c.id)
    .limit(_MOST_LOOKED_AT)
)
