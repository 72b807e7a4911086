"""Routes for approvals: asking for one, answering, and what nobody has answered yet."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.server.api import translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import body_of, described, stage_of, told, version_ref
from lockgate.server.identity import caller
from lockgate.usecases import approve
from lockgate.usecases.ports import Ports
from lockgate.wire.requests import ApprovalAsk, DecisionAsk
from lockgate.wire.shapes import ApprovalList, ApprovalRequest


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["approvals"])

    @router.get("/approvals", response_model=ApprovalList)
    def list_approvals() -> Json:
        """The requests nobody has answered yet, oldest first."""
        return Json(ApprovalList(tuple(translate.requested(each) for each in approve.pending(ports))))

    @router.post("/approvals", response_model=ApprovalRequest, openapi_extra=described(ApprovalAsk))
    def ask_approval(body: Annotated[ApprovalAsk, body_of(ApprovalAsk)]) -> Json:
        """Ask for a yes to moving a version into a stage. It replaces an earlier request for the same."""
        ref, stage = version_ref(body.model, body.version), stage_of(body.to)
        return Json(translate.requested(approve.request(ports, ref, caller(), told(body.reason, "reason"), stage)))

    @router.post("/approvals/decision", response_model=ApprovalRequest, openapi_extra=described(DecisionAsk))
    def decide(body: Annotated[DecisionAsk, body_of(DecisionAsk)]) -> Json:
        """Answer the request, yes or no. 403 for one's own, 404 without one, 409 when it is not pending."""
        ref, stage = version_ref(body.model, body.version), stage_of(body.to)
        comment = body.comment if body.approved else told(body.comment, "comment")
        decided = approve.decide(ports, ref, caller(), approved=body.approved, comment=comment, stage=stage)
        return Json(translate.requested(decided))

    return router
