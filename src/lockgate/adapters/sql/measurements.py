"""Measurement rows: the queue of those to run, and the figures of those that ran."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select, update

from lockgate.adapters.sql.dialects import insert_if_new
from lockgate.adapters.sql.engine_tables import OPEN_MEASUREMENT, measurements
from lockgate.adapters.sql.leases import leased
from lockgate.adapters.sql.names import Names
from lockgate.adapters.sql.rows import origin_columns, who_columns, who_of
from lockgate.adapters.sql.tables import models
from lockgate.domain.engines import Figures, Measurement, MeasurementState, Parity
from lockgate.domain.policy import EngineKind
from lockgate.domain.versions import VersionRef
from lockgate.usecases.ports import AlreadyOpen


def measurement_rows() -> Select[Any]:
    """Every measurement with the present name of its model as `model`, and that one's workspace."""
    named = (models.c.name.label("model"), models.c.workspace)
    return select(measurements, *named).join(models, models.c.id == measurements.c.model_id)


def measurement_columns(of: Measurement) -> dict[str, Any]:
    """Every column of a measurement but its id, its model and its lease."""
    return {
        "version": of.ref.version,
        "state": of.state.value,
        **who_columns("asked_by", of.asked_by),
        **origin_columns("asked_by", of.asked_by),
        "asked_at": of.asked_at,
        "digest": of.digest,
        "figures": json.dumps([asdict(each) for each in of.figures]),
        "converted": of.converted,
        "because": of.because,
        # finished rows are told by this column alone
        "finished_at": of.finished_at or (of.asked_at if of.state.is_over else None),
    }


def measurement_of(row: Row[Any]) -> Measurement:
    """The measurement in a row that also names its model."""
    return Measurement(
        id=row.id,
        ref=VersionRef(row.model, row.version),
        state=MeasurementState(row.state),
        asked_by=who_of("asked_by", row),
        asked_at=row.asked_at,
        digest=row.digest,
        figures=tuple(_figures(each) for each in json.loads(row.figures)),
        converted=row.converted,
        because=row.because,
        finished_at=row.finished_at,
    )


class SqlMeasurements:
    """`Measurements`."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def add(self, measurement: Measurement) -> None:
        """Add it. Raises AlreadyOpen when the version has one that is queued or running."""
        values = {
            "id": measurement.id,
            "model_id": self._names.ensure(measurement.ref.model),
            **measurement_columns(measurement),
        }
        unique = [measurements.c.model_id, measurements.c.version]
        if not insert_if_new(self._connection, measurements, values, unique, OPEN_MEASUREMENT):
            raise AlreadyOpen(f"{measurement.ref} has an open measurement")

    def get(self, id: str) -> Measurement | None:
        return self._first(_BY_ID, {"id": id, "workspace": self._names.workspace})

    def open_for(self, ref: VersionRef) -> Measurement | None:
        return self._first(_OPEN_FOR, self._of(ref))

    def latest(self, ref: VersionRef) -> Measurement | None:
        return self._first(_LATEST, self._of(ref))

    def history(self, ref: VersionRef, limit: int = 100) -> Sequence[Measurement]:
        rows = self._connection.execute(_HISTORY, {**self._of(ref), "most": limit})
        return [measurement_of(row) for row in rows]

    def close_of_model(self, model: str, because: str, at: datetime) -> None:
        values = {
            "state": MeasurementState.ERROR.value,
            "because": because,
            "finished_at": at,
            "fence": measurements.c.fence + 1,
            **leased(None, None),
        }
        here = (measurements.c.model_id == self._names.key(model), OPEN_MEASUREMENT)
        self._connection.execute(update(measurements).where(*here).values(values))

    def _of(self, ref: VersionRef) -> dict[str, Any]:
        return {"model_id": self._names.key(ref.model), "version": ref.version}

    def _first(self, rows: Select[Any], values: dict[str, Any]) -> Measurement | None:
        row = self._connection.execute(rows, values).first()
        return None if row is None else measurement_of(row)


def _figures(plain: Mapping[str, Any]) -> Figures:
    parity = plain["parity"]
    told = {**plain, "engine": EngineKind(plain["engine"]), "parity": Parity(**parity) if parity else None}
    return Figures(**told)


# made once: making a statement takes longer than running it
_BY_ID = measurement_rows().where(measurements.c.id == bindparam("id"), models.c.workspace == bindparam("workspace"))
_OF_VERSION = measurement_rows().where(
    measurements.c.model_id == bindparam("model_id"), measurements.c.version == bindparam("version")
)
_OPEN_FOR = _OF_VERSION.where(OPEN_MEASUREMENT)
_DONE = _OF_VERSION.where(measurements.c.state == MeasurementState.DONE.value)
_LATEST = _DONE.order_by(measurements.c.finished_at.desc(), measurements.c.id.desc()).limit(1)
_HISTORY = _OF_VERSION.order_by(measurements.c.asked_at.desc(), measurements.c.id.desc()).limit(bindparam("most"))
