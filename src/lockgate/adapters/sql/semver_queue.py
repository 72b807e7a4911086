"""Which versions are still to be looked at for their semantic version: who takes them, and in which order."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import BindParameter, bindparam, select, update

from lockgate.adapters.sql.dialects import skipping_held
from lockgate.adapters.sql.semver_tables import BACKLOG
from lockgate.adapters.sql.store import SqlStore
from lockgate.adapters.sql.tables import TO_BE_NUMBERED, models, versions
from lockgate.usecases.semver_ports import Batch


class SqlNumbering:
    """`Numbering`. Two that claim at the same moment never get the same version."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._rest = store.rest()

    def claim(self, lease: timedelta, most: int) -> Batch | None:
        if self._rest.holds():
            return None
        mark = self._rest.mark()
        # looked at first without the write lock: an idle controller must not hold up the writers
        with self._store.glancing() as (connection, moment):
            if connection.execute(_NEXT.where(versions.c.semver_due <= moment)).first() is None:
                soonest = connection.execute(_NEXT).first()
                if soonest is None:
                    self._rest.begin(mark)
                else:
                    self._rest.begin(mark, (soonest.semver_due - self._store.now(connection)).total_seconds())
                return None
        with self._store.changing() as work:
            connection, now = work.connection, self._store.now(work.connection)
            first = connection.execute(_NEXT.where(versions.c.semver_due <= now)).first()
            if first is None:
                return None
            oldest = _OLDEST.where(versions.c.semver_due <= now).limit(most)
            numbers = tuple(connection.execute(skipping_held(oldest), {"of": first.model_id}).scalars())
            if not numbers:
                return None
            until = now + lease
            connection.execute(_CLAIM, {"of": first.model_id, "numbers": numbers, "until": until})
            named = connection.execute(_NAMED, {"of": first.model_id}).one()
        return Batch(named.name, named.workspace, numbers, until, first.semver_due != BACKLOG)


# made once: making a statement takes longer than running it
_OF: BindParameter[int] = bindparam("of")
_NEXT = (
    select(versions.c.model_id, versions.c.semver_due).where(TO_BE_NUMBERED).order_by(versions.c.semver_due).limit(1)
)
_OLDEST = select(versions.c.version).where(versions.c.model_id == _OF, TO_BE_NUMBERED).order_by(versions.c.version)
_CLAIM = (
    update(versions)
    .where(versions.c.model_id == _OF, versions.c.version.in_(bindparam("numbers", expanding=True)))
    .values(semver_due=bindparam("until"))
)
_NAMED = select(models.c.name, models.c.workspace).where(models.c.id == _OF)
