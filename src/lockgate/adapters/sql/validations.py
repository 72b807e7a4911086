"""Validation rows: the queue of those to run, and the results of those that ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from lockgate.adapters.sql.dialects import insert_if_new
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import validation_columns, validation_of
from lockgate.adapters.sql.tables import OPEN_VALIDATION, models, validations
from lockgate.domain.validation import Validation
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
        return self._first(validation_rows().where(validations.c.id == id, models.c.workspace == self._names.workspace))

    def open_for(self, ref: VersionRef) -> Validation | None:
        return self._first(validation_rows().where(self._of(ref), OPEN_VALIDATION))

    def latest(self, ref: VersionRef, digest: str | None = None) -> Validation | None:
        newest = (validations.c.finished_at.desc(), validations.c.id.desc())
        rows = validation_rows().where(self._of(ref), validations.c.finished_at.is_not(None)).order_by(*newest).limit(1)
        return self._first(rows if digest is None else rows.where(validations.c.digest == digest))

    def of_model(self, model: str, limit: int = 100) -> Sequence[Validation]:
        newest = (validations.c.asked_at.desc(), validations.c.id.desc())
        rows = validation_rows().where(validations.c.model_id == self._names.key(model)).order_by(*newest).limit(limit)
        return [validation_of(row) for row in self._connection.execute(rows)]

    def _of(self, ref: VersionRef) -> ColumnElement[bool]:
        return (validations.c.model_id == self._names.key(ref.model)) & (validations.c.version == ref.version)

    def _first(self, rows: Select[Any]) -> Validation | None:
        row = self._connection.execute(rows).first()
        return None if row is None else validation_of(row)
