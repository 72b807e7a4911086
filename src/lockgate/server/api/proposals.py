"""Routes for policies that one administrator proposed and another one puts in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter

from lockgate.domain.policy import Policy
from lockgate.server.api import translate_approvals as shaped
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import Limit, body_of, described
from lockgate.server.identity import caller
from lockgate.usecases import decide_policy
from lockgate.usecases.ports import Ports
from lockgate.wire import approvals as wire


def routes(ports: Ports, parse_policy: Callable[[str | None], Policy]) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["policy"])

    @router.get("/policy/proposals", response_model=wire.ProposalList)
    def list_proposals(limit: Limit = 100) -> Json:
        """The latest proposed policies, newest first."""
        return Json(wire.ProposalList(tuple(shaped.proposal(each) for each in decide_policy.listed(ports, limit))))

    @router.get("/policy/proposals/{id}", response_model=wire.Proposal)
    def read_proposal(id: str) -> Json:
        """One proposed policy, with its text."""
        return Json(shaped.proposal(decide_policy.look(ports, id)))

    @router.post(
        "/policy/proposals/{id}/approve", response_model=wire.Proposal, openapi_extra=described(wire.CommentAsk)
    )
    def approve_proposal(id: str, body: Annotated[wire.CommentAsk, body_of(wire.CommentAsk)]) -> Json:
        """Put it in force. 403 for whoever proposed it, 409 when another policy came in force since."""
        return Json(shaped.proposal(decide_policy.approve(ports, id, parse_policy, caller(), body.comment)))

    @router.post(
        "/policy/proposals/{id}/reject", response_model=wire.Proposal, openapi_extra=described(wire.CommentAsk)
    )
    def reject_proposal(id: str, body: Annotated[wire.CommentAsk, body_of(wire.CommentAsk)]) -> Json:
        """Turn it down; whoever proposed it may, too."""
        return Json(shaped.proposal(decide_policy.reject(ports, id, caller(), body.comment)))

    return router
