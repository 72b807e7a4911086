"""Routes for validations: asking for one and reading what it found."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import body_of, described, known_model, version_ref
from lockgate.server.api.numbering import numbered
from lockgate.server.identity import caller
from lockgate.usecases import validate
from lockgate.usecases.ports import Ports
from lockgate.wire.requests import ValidationAsk
from lockgate.wire.shapes import Validation, ValidationList


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["validations"])

    @router.post("/validations", status_code=202, response_model=Validation, openapi_extra=described(ValidationAsk))
    def ask_validation(body: Annotated[ValidationAsk, body_of(ValidationAsk)]) -> Json:
        """Run the suite on a version, or join the run that is queued or under way."""
        asked = validate.ask(ports, version_ref(body.model, body.version), caller())
        return Json(numbered(ports, translate.validated(asked)), status_code=200 if asked.state.is_over else 202)

    @router.get("/validations/{id}", response_model=Validation)
    def read_validation(id: str) -> Json:
        """One validation with the results it has."""
        return Json(numbered(ports, translate.validated(validate.look(ports, id))))

    @router.get("/validations", response_model=ValidationList)
    def list_validations(model: str) -> Json:
        """The validations of one model, newest first."""
        with ports.store.reading() as work:
            known_model(work, model)
            found = work.validations.of_model(model)
        return Json(numbered(ports, ValidationList(tuple(translate.validated(each) for each in found))))

    return router
