"""Validation rows: the queue of those to run, and the results of those that ran."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select, update

from lockgate.adapters.sql.dialects import insert_if_new
from lockgate.adapters.sql.leases import leased
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import validation_columns, validation_of
from lockgate.adapters.sql.tables import OPEN_VALIDATION, models, validations
from lockgate.domain.validation import Validation, ValidationState
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import AlreadyOpen


def validation_rows() -> Select[Any]:
    """Every validation with the present name of its model as `model`, and that one's workspace."""
    named = (models.c.name.label("model"), models.c.workspace)
    return select(validations, *named).join(models, models.c.id == validations.c.model_id)


class SqlValidations:
    """`Validations`."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def add(self, validation: Validation) -> None:
        """Add it. Raises AlreadyOpen when the version has one that is queued or running."""
        values = {
            "id": validation.id,
            "model_id": self._names.ensure(validation.ref.model),
            **validation_columns(validation),
        }
        unique = [validations.c.model_id, validations.c.version]
        if not insert_if_new(self._connection, validations, values, unique, OPEN_VALIDATION):
            raise AlreadyOpen(f"{validation.ref} has an open validation")

    def get(self, id: str) -> Validation | None:
        return self._first(_BY_ID, {"id": id, "workspace": self._names.workspace})

    def open_for(self, ref: VersionRef) -> Validation | None:
        return self._first(_OPEN_FOR, self._of(ref))

    def latest(self, ref: VersionRef, digest: str | None = None) -> Validation | None:
        if digest is None:
            return self._first(_LATEST, self._of(ref))
        return self._first(_LATEST_ON, {**self._of(ref), "digest": digest})

    def of_model(self, model: str, limit: int = 100) -> Sequence[Validation]:
        newest = (validations.c.asked_at.desc(), validations.c.id.desc())
        rows = validation_rows().where(validations.c.model_id == self._names.key(model)).order_by(*newest).limit(limit)
        return [validation_of(row) for row in self._connection.execute(rows)]

    def close_of_model(self, model: str, because: str, at: datetime) -> None:
        values = {
            "state": ValidationState.ERROR.value,
            "because": because,
            "finished_at": at,
            "fence": validations.c.fence + 1,
            **leased(None, None),
        }
        here = (validations.c.model_id == self._names.key(model), OPEN_VALIDATION)
        self._connection.execute(update(validations).where(*here).values(values))

    def _of(self, ref: VersionRef) -> dict[str, Any]:
        return {"model_id": self._names.key(ref.model), "version": ref.version}

    def _first(self, rows: Select[Any], values: dict[str, Any]) -> Validation | None:
        row = self._connection.execute(rows, values).first()
        return None if row is None else validation_of(row)


# made once: making a statement takes longer than running it
_BY_ID = validation_rows().where(validations.c.id == bindparam("id"), models.c.workspace == bindparam("workspace"))
_OF_VERSION = validation_rows().where(
    validations.c.model_id == bindparam("model_id"), validations.c.version == bindparam("version")
)
_OPEN_FOR = _OF_VERSION.where(OPEN_VALIDATION)
_FINISHED = _OF_VERSION.where(validations.c.finished_at.is_not(None))
_NEWEST_FIRST = (validations.c.finished_at.desc(), validations.c.id.desc())
_LATEST = _FINISHED.order_by(*_NEWEST_FIRST).limit(1)
_LATEST_ON = _FINISHED.where(validations.c.digest == bindparam("digest")).order_by(*_NEWEST_FIRST).limit(1)
