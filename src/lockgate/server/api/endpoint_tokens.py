"""Routes about tokens of endpoints: making, listing and revoking them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from lockgate.domain import serving
from lockgate.domain.versions import model_name
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import body_of, described
from lockgate.server.identity import caller
from lockgate.usecases import endpoint_tokens
from lockgate.usecases.ports import Ports
from lockgate.wire.endpoint_tokens import (
    EndpointToken,
    EndpointTokenAsk,
    EndpointTokenList,
    EndpointTokenRevokeAsk,
    NewEndpointToken,
)


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["endpoint tokens"])

    @router.get("/endpoints/tokens", response_model=EndpointTokenList)
    def list_tokens(model: str | None = None, environment: str | None = None) -> Json:
        """Tokens of endpoints, newest first, revoked ones among them; never their secrets."""
        found = endpoint_tokens.listed(ports, model, environment)
        return Json(EndpointTokenList(tuple(_token(each) for each in found)))

    @router.post("/endpoints/tokens", response_model=NewEndpointToken, openapi_extra=described(EndpointTokenAsk))
    def create_token(body: Annotated[EndpointTokenAsk, body_of(EndpointTokenAsk)]) -> Json:
        """Make a token; from the first one on the endpoint takes no request without. Its secret is shown once."""
        model = model_name(body.model)
        made = endpoint_tokens.create(ports, body.environment, model, caller(), body.label)
        return Json(NewEndpointToken(_token(made.token), made.secret))

    @router.post(
        "/endpoints/tokens/revoke", response_model=EndpointToken, openapi_extra=described(EndpointTokenRevokeAsk)
    )
    def revoke_token(body: Annotated[EndpointTokenRevokeAsk, body_of(EndpointTokenRevokeAsk)]) -> Json:
        """Let a token in no longer; once more changes nothing."""
        return Json(_token(endpoint_tokens.revoke(ports, body.id, caller(), body.reason)))

    return router


def _token(of: serving.EndpointToken) -> EndpointToken:
    return EndpointToken(of.id, of.environment, of.model, of.label, of.created_at, of.created_by, of.revoked_at)
