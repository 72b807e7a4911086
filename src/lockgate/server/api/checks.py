"""Routes for checks: reporting one, and reading what was reported."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import Limit, body_of, described, version_ref
from lockgate.server.identity import caller
from lockgate.usecases import checks
from lockgate.usecases.ports import Ports
from lockgate.wire.checks import CheckAsk, CheckList
from lockgate.wire.shapes import Check


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["checks"])

    @router.get("/checks", response_model=CheckList)
    def list_checks(model: str, version: int, every: bool = False, limit: Limit = 100) -> Json:
        """The check that counts of each name; with `every` all that were reported of the version, newest first."""
        ref = version_ref(model, version)
        found = checks.listed(ports, ref, every=every, limit=limit)
        return Json(CheckList(tuple(translate.check(ref, each) for each in found)))

    @router.post("/checks", response_model=Check, openapi_extra=described(CheckAsk))
    def report_check(body: Annotated[CheckAsk, body_of(CheckAsk)]) -> Json:
        """Report a result about the version's files. 409 when they cannot be read, or are not those that were meant."""
        ref = version_ref(body.model, body.version)
        told = checks.Report(ref, body.name, body.passed, body.url, body.comment, body.digest)
        return Json(translate.check(ref, checks.report(ports, told, caller())))

    return router
