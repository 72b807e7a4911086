"""Routes for emergencies: setting the gates aside by two people, and the review by a third."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.domain.durations import parse_duration
from lockgate.server.api import translate
from lockgate.server.api import translate_approvals as shaped
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import Limit, body_of, described, stage_of, version_ref
from lockgate.server.identity import caller
from lockgate.usecases import break_glass
from lockgate.usecases.ports import Ports
from lockgate.wire import approvals as wire


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["break-glass"])

    @router.get("/break-glass", response_model=wire.BreakGlassList)
    def list_glasses(limit: Limit = 100, model: str | None = None) -> Json:
        """When gates were set aside, newest first, of one model or of all."""
        now = ports.clock.now()
        return Json(wire.BreakGlassList(tuple(shaped.glass(x, now) for x in break_glass.listed(ports, limit, model))))

    @router.get("/break-glass/{id}", response_model=wire.BreakGlass)
    def read_glass(id: str) -> Json:
        """One of them as it stands now."""
        return Json(shaped.glass(break_glass.look(ports, id), ports.clock.now()))

    @router.post("/break-glass", response_model=wire.BreakGlass, openapi_extra=described(wire.BreakGlassAsk))
    def ask_glass(body: Annotated[wire.BreakGlassAsk, body_of(wire.BreakGlassAsk)]) -> Json:
        """Ask to set the gates aside for one move. Nothing happens before a second person confirms it."""
        ref, stage, length = version_ref(body.model, body.version), stage_of(body.to), parse_duration(body.expires)
        return Json(shaped.glass(break_glass.ask(ports, ref, caller(), body.reason, stage, length), ports.clock.now()))

    @router.post("/break-glass/{id}/confirm", response_model=wire.Broken)
    def confirm_glass(id: str) -> Json:
        """As the second person set the gates aside and make the move. 202 while it goes on, 403 for whoever asked."""
        glass, promotion = break_glass.confirm(ports, id, caller())
        shape = wire.Broken(shaped.glass(glass, ports.clock.now()), translate.promoted(promotion))
        return Json(shape, status_code=200 if promotion.state.is_over else 202)

    @router.post("/break-glass/{id}/review", response_model=wire.BreakGlass, openapi_extra=described(wire.CommentAsk))
    def review_glass(id: str, body: Annotated[wire.CommentAsk, body_of(wire.CommentAsk)]) -> Json:
        """As a third person write down what the look at it afterwards gave."""
        return Json(shaped.glass(break_glass.review(ports, id, caller(), body.comment), ports.clock.now()))

    return router
