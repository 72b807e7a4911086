"""Routes for approvals: asking for one, answering, taking back, standing in, and what nobody has answered yet."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.server.api import translate
from lockgate.server.api import translate_approvals as shaped
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import Limit, body_of, described, stage_of, told, version_ref
from lockgate.server.api.numbering import numbered
from lockgate.server.identity import caller
from lockgate.usecases import approve, approver_view, delegate, plan, withdraw
from lockgate.usecases.ports import Ports
from lockgate.wire import approvals as wire
from lockgate.wire.requests import ApprovalAsk, DecisionAsk
from lockgate.wire.shapes import ApprovalList, ApprovalRequest


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["approvals"])
    _add_looking(router, ports)
    _add_answering(router, ports)
    _add_standing_in(router, ports)
    return router


def _add_looking(router: APIRouter, ports: Ports) -> None:
    @router.get("/approvals", response_model=ApprovalList)
    def list_approvals(limit: Limit = 100, after: str = "") -> Json:
        """The requests nobody has answered yet, oldest first; `after` is what the page before said as `next`."""
        found = approve.pending(ports, limit, after)
        follows = found[-1].id if len(found) == limit else ""
        return Json(numbered(ports, ApprovalList(tuple(translate.requested(each) for each in found), follows)))

    @router.get("/approvals/{id}", response_model=wire.ApprovalView)
    def read_approval(id: str) -> Json:
        """One request with what an approver looks at: the version beside the one it would follow."""
        return Json(numbered(ports, shaped.view(approver_view.view(ports, id))))

    @router.get("/plans/{digest}", response_model=wire.KeptPlan)
    def read_plan(digest: str) -> Json:
        """The parts of a plan that was kept, by its digest or the first 12 digits of it."""
        return Json(wire.KeptPlan(*plan.kept(ports, digest)))


def _add_answering(router: APIRouter, ports: Ports) -> None:
    @router.post("/approvals", response_model=ApprovalRequest, openapi_extra=described(ApprovalAsk))
    def ask_approval(body: Annotated[ApprovalAsk, body_of(ApprovalAsk)]) -> Json:
        """Ask for a yes to moving a version into a stage. It replaces an earlier request for the same."""
        ref, stage = version_ref(body.model, body.version), stage_of(body.to)
        asked = approve.request(ports, ref, caller(), told(body.reason, "reason"), stage)
        return Json(numbered(ports, translate.requested(asked)))

    @router.post("/approvals/decision", response_model=ApprovalRequest, openapi_extra=described(DecisionAsk))
    def decide(body: Annotated[DecisionAsk, body_of(DecisionAsk)]) -> Json:
        """Answer the request, yes or no. 403 for one's own, 404 without one, 409 when it is not pending or stale."""
        decided = approve.decide(
            ports,
            version_ref(body.model, body.version),
            caller(),
            approved=body.approved,
            comment=body.comment if body.approved else told(body.comment, "comment"),
            stage=stage_of(body.to),
            plan=body.plan,
            archive=body.archive,
        )
        return Json(numbered(ports, translate.requested(decided)))

    @router.post("/approvals/withdraw", response_model=ApprovalRequest, openapi_extra=described(wire.WithdrawAsk))
    def take_back(body: Annotated[wire.WithdrawAsk, body_of(wire.WithdrawAsk)]) -> Json:
        """Take back one's own request or one's own yes. 403 for somebody else's, 409 once the move is made."""
        ref, stage = version_ref(body.model, body.version), stage_of(body.to)
        after = withdraw.withdraw(ports, ref, caller(), body.reason, stage=stage, approval=body.approval)
        return Json(numbered(ports, translate.requested(after)))


def _add_standing_in(router: APIRouter, ports: Ports) -> None:
    @router.get("/delegations", response_model=wire.DelegationList)
    def list_delegations(limit: Limit = 100) -> Json:
        """Who may answer in whose place, newest first; those that are over among them."""
        now = ports.clock.now()
        return Json(wire.DelegationList(tuple(shaped.delegation(each, now) for each in delegate.listed(ports, limit))))

    @router.post("/delegations", response_model=wire.Delegation, openapi_extra=described(wire.DelegateAsk))
    def give_delegation(body: Annotated[wire.DelegateAsk, body_of(wire.DelegateAsk)]) -> Json:
        """Let somebody answer in one's place for a while. 409 while there are no users."""
        given = delegate.give(ports, caller(), body.to, body.until, body.reason)
        return Json(shaped.delegation(given, ports.clock.now()))

    @router.post("/delegations/{id}/end", response_model=wire.Delegation, openapi_extra=described(wire.EndAsk))
    def end_delegation(id: str, body: Annotated[wire.EndAsk, body_of(wire.EndAsk)]) -> Json:
        """End a delegation before its time. What was answered by it stands."""
        return Json(shaped.delegation(delegate.end(ports, id, caller(), body.reason), ports.clock.now()))
