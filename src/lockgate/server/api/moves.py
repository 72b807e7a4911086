"""Routes that move versions: plan, promotions, rollbacks and the rollouts they made."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.domain.promotion import Kind, Promotion
from lockgate.server.api import rollouts, translate
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import Limit, body_of, described, known_model, stage_of, version_ref
from lockgate.server.api.numbering import numbered
from lockgate.server.identity import caller
from lockgate.usecases import plan, promote, roll_back
from lockgate.usecases.ports import Ports
from lockgate.wire import shapes
from lockgate.wire.requests import PlanAsk, PromotionAsk, RollbackAsk


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["moves"])
    _add_asking(router, ports)
    _add_following(router, ports)
    return router


def _add_asking(router: APIRouter, ports: Ports) -> None:
    @router.post("/plan", response_model=shapes.Plan, openapi_extra=described(PlanAsk))
    def make_plan(body: Annotated[PlanAsk, body_of(PlanAsk)]) -> Json:
        """What a promotion would do now, judged on the evidence of this moment. Moves nothing."""
        ref, stage = version_ref(body.model, body.version), stage_of(body.to)
        made = plan.plan(ports, ref, stage, archive_existing=body.archive_existing, keep=body.keep)
        return Json(numbered(ports, translate.planned(made)))

    @router.post("/promotions", response_model=shapes.Promotion, openapi_extra=described(PromotionAsk))
    def ask_promotion(body: Annotated[PromotionAsk, body_of(PromotionAsk)]) -> Json:
        """Move a version to a stage, or join the one that does so already. 202 while it goes on, 403 when refused."""
        asked = promote.Ask(
            version_ref(body.model, body.version),
            stage_of(body.to),
            Kind.PROMOTE,
            caller(),
            lasting=body.lasting,
            archive_existing=body.archive_existing and body.replace is None,
            reason=body.reason,
            leaves=None if body.replace is None else version_ref(body.model, body.replace),
            plan=body.plan,
        )
        return _opened(ports, promote.ask(ports, asked))

    @router.post("/rollbacks", response_model=shapes.Promotion, openapi_extra=described(RollbackAsk))
    def ask_rollback(body: Annotated[RollbackAsk, body_of(RollbackAsk)]) -> Json:
        """Go back to the last known good release, or to a version that qualifies. 409 when there is none."""
        to = None if body.to is None else version_ref(body.model, body.to).version
        asked = roll_back.ask(ports, body.model, caller(), body.reason, to=to, environment=body.environment)
        return _opened(ports, asked)


def _add_following(router: APIRouter, ports: Ports) -> None:
    @router.get("/promotions", response_model=shapes.PromotionList)
    def list_promotions(model: str | None = None, limit: Limit = 100) -> Json:
        """The latest promotions, newest first, of one model or of all."""
        with ports.store.reading() as work:
            found = work.promotions.recent(model, limit)
        return Json(numbered(ports, shapes.PromotionList(tuple(translate.promoted(each) for each in found))))

    @router.get("/promotions/{id}", response_model=shapes.Promotion)
    def read_promotion(id: str) -> Json:
        """One promotion as it is now, over or not."""
        return Json(numbered(ports, translate.promoted(promote.look(ports, id))))

    @router.post("/promotions/{id}/cancel", response_model=shapes.Promotion)
    def cancel_promotion(id: str) -> Json:
        """Withdraw an open promotion. 409 when it is over or committed already."""
        return Json(numbered(ports, translate.promoted(promote.cancel(ports, id, caller()))))

    @router.get("/rollouts", response_model=shapes.RolloutList)
    def list_rollouts(model: str) -> Json:
        """The promotions that moved an endpoint of this model, or tried to, newest first."""
        with ports.store.reading() as work:
            known_model(work, model)
            return Json(shapes.RolloutList(rollouts.of_model(work, model)))


def _opened(ports: Ports, promotion: Promotion) -> Json:
    """Done: 200. Open: 202, it goes on. Over otherwise: the error that its end is."""
    if not promotion.state.is_over:
        return Json(numbered(ports, translate.promoted(promotion)), status_code=202)
    promote.answer(promotion)
    return Json(numbered(ports, translate.promoted(promotion)))
