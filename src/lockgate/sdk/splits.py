"""Requests that are divided among versions, as `Lockgate(…).splits`."""

from __future__ import annotations

from collections.abc import Mapping

from lockgate.sdk.http import Http
from lockgate.wire import splits as wire
from lockgate.wire.plain import from_json, to_json


class Splits:
    """Dividing an endpoint's requests among the versions that hold its stage."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def set(
        self,
        model: str,
        environment: str = "production",
        shares: Mapping[int, float] | None = None,
        *,
        header: str = "",
        key: str = "",
        cookie: str = "",
        shadow: int | None = None,
        shadow_percent: float = 100.0,
        reason: str = "",
    ) -> wire.Split:
        """Divide them: `shares` are percent by version, the primary version gets the rest.

        Raises BadRequest for what makes no sense, NotFound for the endpoint, Conflict when a version may not answer.
        """
        told = tuple(wire.Share(version, percent) for version, percent in (shares or {}).items())
        ask = wire.SplitAsk(model, environment, told, header, key, cookie, shadow, shadow_percent, reason)
        return from_json(wire.Split, self._http.post("/endpoints/split", to_json(ask)))

    def list(self, model: str | None = None, environment: str | None = None) -> tuple[wire.Split, ...]:
        """How requests are divided, by model and environment."""
        found = self._http.get("/endpoints/splits", model=model, environment=environment)
        return from_json(wire.SplitList, found).splits

    def remove(self, model: str, environment: str = "production", reason: str = "") -> tuple[wire.Split, ...]:
        """Give all requests to the primary version again; what is divided still of that model. Raises NotFound."""
        body = to_json(wire.SplitRemoveAsk(model, environment, reason))
        return from_json(wire.SplitList, self._http.post("/endpoints/split/remove", body)).splits
