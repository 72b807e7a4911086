"""Routes that say where things stand: models, versions, endpoints."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter

from lockgate.domain.serving import EndpointState
from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import body_of, described
from lockgate.server.api.numbering import numbered
from lockgate.server.identity import caller
from lockgate.usecases import retire, status
from lockgate.usecases.ports import Ports
from lockgate.wire.requests import RetireAsk
from lockgate.wire.shapes import Endpoint, EndpointList, ModelStatus, Overview


def routes(ports: Ports, at: str) -> APIRouter:
    """The routes over these ports; `at` is what their addresses begin with."""
    router = APIRouter(tags=["standing"])

    @router.get("/status", response_model=Overview | ModelStatus)
    def read_status(model: str | None = None) -> Json:
        """All models on a line each, or one: its versions, endpoints and pending approvals."""
        if model is None:
            overview = status.overview(ports)
            return Json(numbered(ports, translate.overview(overview, _endpoints(ports, at))))
        found = status.of_model(ports, model)
        with ports.store.reading() as work:
            seen = translate.endpoints(work, found.endpoints, at)
        return Json(numbered(ports, translate.model_status(found, seen)))

    @router.get("/endpoints", response_model=EndpointList)
    def read_endpoints() -> Json:
        """What is served, where, by which processes; retired endpoints are left out."""
        return Json(numbered(ports, EndpointList(_endpoints(ports, at))))

    @router.post("/endpoints/retire", response_model=Endpoint, openapi_extra=described(RetireAsk))
    def retire_endpoint(body: Annotated[RetireAsk, body_of(RetireAsk)]) -> Json:
        """Stop an endpoint whose version left its stage. 409 while a version is in that stage."""
        with ports.store.reading() as work:
            before = work.endpoints.get(body.environment, body.model)
        retire.retire(ports, body.environment, body.model, caller())
        assert before is not None, "what is not there cannot be retired"
        return Json(translate.endpoint(replace(before, state=EndpointState.RETIRED), (), at))

    return router


def _endpoints(ports: Ports, at: str) -> tuple[Endpoint, ...]:
    with ports.store.reading() as work:
        return translate.endpoints(work, work.endpoints.all(), at)
