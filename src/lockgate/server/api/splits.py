"""Routes about requests that are divided among versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.domain import traffic
from lockgate.domain.versions import model_name
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import body_of, described
from lockgate.server.identity import caller
from lockgate.usecases import split
from lockgate.usecases.ports import Ports
from lockgate.wire.splits import Share, Split, SplitAsk, SplitList, SplitRemoveAsk


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["endpoints"])

    @router.get("/endpoints/splits", response_model=SplitList)
    def list_splits(model: str | None = None, environment: str | None = None) -> Json:
        """How requests are divided among versions, by model and environment."""
        return Json(SplitList(tuple(_split(each) for each in split.shown(ports, model, environment))))

    @router.post("/endpoints/split", response_model=Split, openapi_extra=described(SplitAsk))
    def set_split(body: Annotated[SplitAsk, body_of(SplitAsk)]) -> Json:
        """Divide an endpoint's requests among versions that hold its stage, in place of how they were divided."""
        shares = tuple(traffic.Share(share.version, share.percent) for share in body.shares)
        wanted = traffic.Split(shares, body.header, body.key, body.cookie, body.shadow, body.shadow_percent)
        model = model_name(body.model)
        return Json(_split(split.divide(ports, body.environment, model, wanted, caller(), body.reason)))

    @router.post("/endpoints/split/remove", response_model=SplitList, openapi_extra=described(SplitRemoveAsk))
    def remove_split(body: Annotated[SplitRemoveAsk, body_of(SplitRemoveAsk)]) -> Json:
        """Give all of an endpoint's requests to the primary version again; what is divided still."""
        split.undivide(ports, body.environment, model_name(body.model), caller(), body.reason)
        return Json(SplitList(tuple(_split(each) for each in split.shown(ports, body.model))))

    return router


def _split(told: split.SplitShown) -> Split:
    of = told.set.split
    return Split(
        told.set.environment,
        told.set.model,
        told.primary,
        _shares(of),
        _shares(told.in_force),
        of.header,
        of.key,
        of.cookie,
        of.shadow,
        of.shadow_percent,
        told.set.set_by,
        told.set.set_at,
    )


def _shares(of: traffic.Split) -> tuple[Share, ...]:
    return tuple(Share(share.version, share.percent) for share in of.shares)
