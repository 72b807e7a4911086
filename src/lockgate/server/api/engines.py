"""Routes for engines: measuring those of a version, and reading what was measured."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter

from lockgate.domain.engines import Measurement
from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import Limit, body_of, described, version_ref
from lockgate.server.identity import caller
from lockgate.usecases import engines
from lockgate.usecases.ports import Ports
from lockgate.wire.engines import EngineFigures, EngineMeasurement, EngineMeasurementList, EnginesAsk, Parity


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["engines"])

    @router.post("/engines", status_code=202, response_model=EngineMeasurement, openapi_extra=described(EnginesAsk))
    def ask_measurement(body: Annotated[EnginesAsk, body_of(EnginesAsk)]) -> Json:
        """Measure how fast each engine of a version answers, and how like MLflow; or join the measuring under way."""
        asked = engines.ask(ports, version_ref(body.model, body.version), caller())
        return Json(_measured(asked), status_code=202)

    @router.get("/engines/{id}", response_model=EngineMeasurement)
    def read_measurement(id: str) -> Json:
        """One measurement as it is now."""
        return Json(_measured(engines.look(ports, id)))

    @router.get("/engines", response_model=EngineMeasurementList)
    def list_measurements(model: str, version: int, limit: Limit = 100) -> Json:
        """The measurements of one version, newest first."""
        found = engines.listed(ports, version_ref(model, version), limit)
        return Json(EngineMeasurementList(tuple(_measured(each) for each in found)))

    return router


def _measured(of: Measurement) -> EngineMeasurement:
    figures = []
    for each in of.figures:
        parity = None if each.parity is None else Parity(**asdict(each.parity))
        told = {**asdict(each), "engine": each.engine.value, "parity": parity}
        figures.append(EngineFigures(**told))
    return EngineMeasurement(
        id=of.id,
        model=of.ref.model,
        version=of.ref.version,
        state=of.state.value,
        asked_by=translate.who(of.asked_by),
        asked_at=of.asked_at,
        digest=of.digest,
        engines=tuple(figures),
        converted=of.converted,
        because=of.because,
        finished_at=of.finished_at,
    )
