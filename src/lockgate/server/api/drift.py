"""Routes about what was changed past Lockgate."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import body_of, described
from lockgate.server.identity import caller
from lockgate.usecases import drift
from lockgate.usecases.ports import Ports
from lockgate.wire.requests import AcceptAsk
from lockgate.wire.shapes import DriftList


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["drift"])

    @router.get("/drift", response_model=DriftList)
    def read_drift(model: str | None = None) -> Json:
        """Where MLflow's tables and Lockgate's rows differ: in one model, or in all."""
        return Json(DriftList(tuple(translate.difference(each) for each in drift.look(ports, model))))

    @router.post("/drift/accept", response_model=DriftList, openapi_extra=described(AcceptAsk))
    def accept_drift(body: Annotated[AcceptAsk, body_of(AcceptAsk)]) -> Json:
        """Let Lockgate's rows follow what was deleted past it in a model; what was accepted."""
        accepted = drift.accept(ports, body.model, caller(), body.reason)
        return Json(DriftList(tuple(translate.difference(each) for each in accepted)))

    return router
