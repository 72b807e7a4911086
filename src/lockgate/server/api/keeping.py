"""Routes about how the record is kept: retention and legal hold."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.domain.retention import parse_length, spoken
from lockgate.domain.versions import model_name
from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import body_of, described
from lockgate.server.identity import caller
from lockgate.usecases import retain
from lockgate.usecases.ports import Ports
from lockgate.wire import keeping as wire


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["record"])

    @router.get("/audit/retention", response_model=wire.Kept)
    def read_retention() -> Json:
        """For how long the texts of entries are kept, and which models are held."""
        return Json(_kept(retain.look(ports, caller())))

    @router.post("/audit/retention", response_model=wire.Kept, openapi_extra=described(wire.RetentionAsk))
    def set_retention(body: Annotated[wire.RetentionAsk, body_of(wire.RetentionAsk)]) -> Json:
        """Keep texts for that long from now on."""
        retain.set_rule(ports, caller(), parse_length(body.length), body.reason)
        return Json(_kept(retain.look(ports, caller())))

    @router.post("/audit/holds", response_model=wire.Kept, openapi_extra=described(wire.HoldAsk))
    def add_hold(body: Annotated[wire.HoldAsk, body_of(wire.HoldAsk)]) -> Json:
        """Let nothing of this model be removed."""
        retain.hold(ports, caller(), model_name(body.model), body.reason)
        return Json(_kept(retain.look(ports, caller())))

    @router.post("/audit/holds/release", response_model=wire.Kept, openapi_extra=described(wire.HoldAsk))
    def release_hold(body: Annotated[wire.HoldAsk, body_of(wire.HoldAsk)]) -> Json:
        """End the holds of this model. 404 where none stands."""
        retain.release(ports, caller(), model_name(body.model), body.reason)
        return Json(_kept(retain.look(ports, caller())))

    return router


def _kept(of: retain.Kept) -> wire.Kept:
    rule = of.rule
    return wire.Kept(
        length=spoken(rule.length if rule is not None else None),
        set_by=translate.who(rule.set_by) if rule is not None else None,
        set_at=rule.set_at if rule is not None else None,
        reason=rule.reason if rule is not None else "",
        holds=tuple(wire.Hold(h.id, h.model, h.reason, translate.who(h.added_by), h.added_at) for h in of.holds),
        removed=of.removed,
        anchored=of.anchored,
    )
