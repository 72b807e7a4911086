"""How a server's record is kept, as `Lockgate(…).keeping`."""

from __future__ import annotations

from lockgate.sdk.http import Http
from lockgate.wire import keeping as wire
from lockgate.wire.plain import from_json, to_json


class Keeping:
    """Retention and legal hold. Changing them takes the role admin."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def show(self) -> wire.Kept:
        """For how long the texts of entries are kept, and which models are held."""
        return from_json(wire.Kept, self._http.get("/audit/retention"))

    def set(self, length: str, reason: str) -> wire.Kept:
        """Keep texts for that long from now on: `7y`, `400d` or `for ever`."""
        return self._changed("/audit/retention", wire.RetentionAsk(length, reason))

    def hold(self, model: str, reason: str) -> wire.Kept:
        """Let nothing of this model be removed. Raises NotFound for one that never was."""
        return self._changed("/audit/holds", wire.HoldAsk(model, reason))

    def release(self, model: str, reason: str) -> wire.Kept:
        """End the holds of this model. Raises NotFound where none stands."""
        return self._changed("/audit/holds/release", wire.HoldAsk(model, reason))

    def _changed(self, path: str, body: wire.RetentionAsk | wire.HoldAsk) -> wire.Kept:
        return from_json(wire.Kept, self._http.post(path, to_json(body)))
