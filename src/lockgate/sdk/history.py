"""The past of a server, as `Lockgate(…).history`."""

from __future__ import annotations

from datetime import datetime

from lockgate.sdk.http import Http
from lockgate.wire import history as wire
from lockgate.wire.plain import from_json


class History:
    """Looking back. It takes the role viewer, on all models where none is named."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def as_of(self, at: datetime | str, model: str | None = None) -> wire.AsOf:
        """What was in each stage at that moment and what served then, with who agreed to it and why.

        `at` is a time, or the text of one; without a zone it is UTC. Raises NotFound for a time before the record began
        and for a model nobody knew then, BadRequest for one that has not come yet.
        """
        told = at.isoformat() if isinstance(at, datetime) else at
        return from_json(wire.AsOf, self._http.get("/audit/as-of", at=told, model=model))
