"""How requests are divided among versions, and the releases that an agent is told to let answer beside the primary."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, insert, select

from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import release_of
from lockgate.adapters.sql.split_tables import splits
from lockgate.adapters.sql.tables import NOT_RETIRED, endpoints, models, releases, versions
from lockgate.domain.policy import Policy
from lockgate.domain.serving import Endpoint, Release
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


def beside(connection: Connection, policy: Policy, serving: Iterable[Endpoint]) -> Mapping[str, tuple[Release, ...]]:
    """Of each of these endpoints the releases of further versions that hold its stage, the newest first.

    Of each version it is the last one with the files that are pinned now. None of a version that is quarantined.
    """
    stages = {place.name: place.stage.value for place in policy.environments}
    primary = {each.id: each.release.ref.version for each in serving if each.release is not None}
    digests = {
        (row.id, row.version): row.digest
        for row in connection.execute(_IN_STAGE)
        if row.stage == stages.get(row.environment) and primary.get(row.id, row.version) != row.version
    }
    found: dict[str, dict[int, Release]] = defaultdict(dict)
    if digests:  # with one version in each stage, as most have it, that was all
        ids, numbers = {id for id, _ in digests}, {number for _, number in digests}
        here = (releases.c.endpoint.in_(ids), releases.c.version.in_(numbers))
        for row in connection.execute(_RELEASES.where(*here)):
            if digests.get((row.endpoint, row.version)) == row.digest:
                found[row.endpoint].setdefault(row.version, release_of(row))
    return {endpoint: tuple(there.values()) for endpoint, there in found.items()}


def workspaces(connection: Connection) -> Mapping[str, str]:
    """The workspace of every endpoint."""
    rows = select(endpoints.c.id, models.c.workspace).join(models, models.c.id == endpoints.c.model_id)
    return {row.id: row.workspace for row in connection.execute(rows)}


def _split_of(row: Row[Any]) -> SetSplit:
    return SetSplit(row.environment, row.model, Split.of(json.loads(row.split)), row.set_by, row.set_at)


_IN_STAGE: Select[Any] = (
    select(endpoints.c.id, endpoints.c.environment, versions.c.version, versions.c.stage, versions.c.digest)
    .select_from(endpoints)
    # few hold a stage, however many there are
    .join(versions, (versions.c.model_id == endpoints.c.model_id) & versions.c.stage.in_(("Staging", "Production")))
    .where(
        NOT_RETIRED,
        endpoints.c.release.is_not(None),
        versions.c.quarantined_at.is_(None),
        versions.c.deleted_at.is_(None),
    )
    .order_by(versions.c.entered.desc(), versions.c.version.desc())
    .limit(_MOST_LOOKED_AT)
)
_RELEASES: Select[Any] = (
    select(releases, models.c.name.label("model"))
    .join(models, models.c.id == releases.c.model_id)
    .order_by(releases.c.created_at.desc(), releases.c.id)
    .limit(_MOST_LOOKED_AT)
)
