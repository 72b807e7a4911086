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
        return from_json(wire.AsOf, self._http.get("/audit/as-of", at=_moment(at), model=model))

    def sample(
        self,
        wanted: int = 25,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        seed: str = "",
    ) -> wire.Sample:
        """Promotions that were over within a time, drawn by chance, each with all that is kept of it.

        The seed in the answer draws the same ones again, with the same times. Raises BadRequest for a number or a time
        that cannot be.
        """
        asked = {"since": _moment(since), "until": _moment(until), "seed": seed or None}
        return from_json(wire.Sample, self._http.get("/audit/sample", wanted=wanted, **asked))

    def anchors(self) -> wire.AnchorList:
        """The places outside that checkpoints are written to, and how that went."""
        return from_json(wire.AnchorList, self._http.get("/audit/anchors"))


def _moment(at: datetime | str | None) -> str | None:
    return at.isoformat() if isinstance(at, datetime) else at
