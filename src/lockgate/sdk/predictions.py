"""Logged predictions, as `Lockgate(…).predictions`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from lockgate.sdk.http import Http
from lockgate.wire import predictions as wire
from lockgate.wire.plain import from_json


class Predictions:
    """Reading what a model was asked, what it answered and what turned out to be right."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def page(
        self,
        model: str,
        environment: str = "production",
        *,
        day: date | str | None = None,
        limit: int = 20,
        after: str = "",
        request_id: str = "",
    ) -> wire.PredictionPage:
        """The newest ones of a day in UTC (None: today), or those before `after`, the one thing a page ends with.

        Raises NotFound for the model, BadRequest for the environment or the day.
        """
        found = self._http.get(
            "/predictions",
            model=model,
            environment=environment,
            day=str(day) if day else None,
            limit=limit,
            after=after or None,
            request_id=request_id or None,
        )
        return from_json(wire.PredictionPage, found)

    def of_day(
        self, model: str, environment: str = "production", *, day: date | str | None = None
    ) -> Iterator[wire.LoggedPrediction]:
        """Every one of a day, the newest first, page by page."""
        page = self.page(model, environment, day=day, limit=500)
        yield from page.predictions
        while page.after:
            page = self.page(model, environment, day=page.day, limit=500, after=page.after)
            yield from page.predictions
