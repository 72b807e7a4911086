"""Routes for semantic versions: which version bears which, what changed, and setting one by hand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.domain.semver import SemanticVersion
from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import body_of, described, version_ref
from lockgate.server.identity import caller
from lockgate.usecases import semver
from lockgate.usecases.ports import Ports
from lockgate.usecases.semver_ports import Numbered as Row
from lockgate.wire.semver import Change, Compared, Numbered, NumberedList, SemverAsk


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["semantic versions"])

    @router.get("/semver", response_model=NumberedList)
    def list_numbers(model: str, number: str | None = None) -> Json:
        """Every version of a model, newest first; with `number` the one that bears it. 404 when none does."""
        if number is not None:
            found = semver.version_of(ports, model, SemanticVersion.parse(number))
            return Json(NumberedList((_numbered(semver.of_version(ports, found).numbered),)))
        return Json(NumberedList(tuple(_numbered(each) for each in semver.of_model(ports, model))))

    @router.get("/semver/version", response_model=Compared)
    def read_number(model: str, version: int, against: int | None = None) -> Json:
        """One version's number, and what changed since the version it was compared with, or since `against`."""
        other = None if against is None else version_ref(model, against)
        found = semver.of_version(ports, version_ref(model, version), other)
        changes = None if found.changes is None else tuple(Change(c.size.word, c.told) for c in found.changes)
        compared = found.numbered.compared_with if against is None else against
        return Json(Compared(_numbered(found.numbered), compared, changes))

    @router.post("/semver", response_model=Numbered, openapi_extra=described(SemverAsk))
    def set_number(body: Annotated[SemverAsk, body_of(SemverAsk)]) -> Json:
        """Set a version's number by hand. 409 when it does not lie between those of the versions around it."""
        ref, number = version_ref(body.model, body.version), SemanticVersion.parse(body.semantic_version)
        return Json(_numbered(semver.give(ports, ref, number, body.reason, caller())))

    return router


def _numbered(of: Row) -> Numbered:
    return Numbered(
        model=of.ref.model,
        version=of.ref.version,
        semantic_version=None if of.number is None else str(of.number),
        origin=of.origin,
        because=of.because,
        who=translate.who(of.who),
        at=of.at,
        compared_with=of.compared_with,
    )
