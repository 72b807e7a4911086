"""Tokens of endpoints, as `Lockgate(…).endpoint_tokens`."""

from __future__ import annotations

from lockgate.sdk.http import Http
from lockgate.wire import endpoint_tokens as wire
from lockgate.wire.plain import from_json, to_json


class EndpointTokens:
    """Making, listing and revoking what lets callers ask an endpoint for predictions."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(self, model: str, environment: str = "production", label: str = "") -> wire.NewEndpointToken:
        """A new one with its secret, which is shown this once. From then on the endpoint takes no request without.

        Raises NotFound for the model, BadRequest for an environment that is none of the policy's.
        """
        body = to_json(wire.EndpointTokenAsk(model, environment, label))
        return from_json(wire.NewEndpointToken, self._http.post("/endpoints/tokens", body))

    def list(self, model: str | None = None, environment: str | None = None) -> tuple[wire.EndpointToken, ...]:
        """Newest first, revoked ones among them."""
        found = self._http.get("/endpoints/tokens", model=model, environment=environment)
        return from_json(wire.EndpointTokenList, found).tokens

    def revoke(self, id: str, reason: str = "") -> wire.EndpointToken:
        """Let it in no longer. Raises NotFound."""
        body = to_json(wire.EndpointTokenRevokeAsk(id, reason))
        return from_json(wire.EndpointToken, self._http.post("/endpoints/tokens/revoke", body))
