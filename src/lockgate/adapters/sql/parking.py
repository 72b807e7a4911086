"""Releases that took traffic a while ago: what an agent may keep warm, so that going back to one takes no time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, literal, select

from lockgate.adapters.sql.rows import release_of
from lockgate.adapters.sql.tables import HAS_LEFT, Instant, endpoints, models, releases, versions
from lockgate.domain.serving import Release

_MOST_LOOKED_AT = 200


def parked(
    connection: Connection, now: datetime | ColumnElement[datetime], kept: Mapping[str, timedelta]
) -> dict[str, tuple[Release, ...]]:
    """Of each endpoint the releases that left no longer ago than it keeps them, the one that left last first.

    Those of a version that is quarantined, or gone, are left out: nobody goes back to them.
    """
    found: dict[str, list[Release]] = defaultdict(list)
    moment = literal(now, Instant) if isinstance(now, datetime) else now
    for row in connection.execute(_LEFT.add_columns(moment.label("now"))):
        if row.now - row.left_at < kept.get(row.endpoint, timedelta()):
            found[row.endpoint].append(release_of(row))
    return {endpoint: tuple(there) for endpoint, there in found.items()}


_LEFT: Select[Any] = (
    select(releases, models.c.name.label("model"))
    .join(models, models.c.id == releases.c.model_id)
    .join(endpoints, endpoints.c.id == releases.c.endpoint)
    .join(versions, (versions.c.model_id == releases.c.model_id) & (versions.c.version == releases.c.version))
    .where(
        HAS_LEFT,
        versions.c.quarantined_at.is_(None),
        versions.c.deleted_at.is_(None),
        endpoints.c.state != "retired",
    )
    .order_by(releases.c.left_at.desc(), releases.c.id)
    .limit(_MOST_LOOKED_AT)
)
