"""The route that reads logged predictions with the labels that came for them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from lockgate.domain.errors import BadInput
from lockgate.domain.versions import model_name
from lockgate.server.api.answering import Json
from lockgate.server.identity import caller
from lockgate.usecases import prediction_ports, predictions
from lockgate.usecases.ports import Ports
from lockgate.usecases.prediction_ports import Asked, PredictionLog
from lockgate.wire import predictions as wire

Wanted = Annotated[int, Query(ge=1, le=500)]


def routes(ports: Ports, log: PredictionLog) -> APIRouter:
    """The route over these ports."""
    router = APIRouter(tags=["predictions"])

    @router.get("/predictions", response_model=wire.PredictionPage)
    def read_predictions(
        model: str,
        environment: str = "production",
        day: str | None = None,
        limit: Wanted = 20,
        after: str = "",
        request_id: str = "",
    ) -> Json:
        """What was logged of a model on a `day` (UTC, today if none is told), the newest first, with labels.

        Only what the workers of the server's own machine logged.
        """
        name, wanted = model_name(model), _day(day) if day else ports.clock.now().astimezone(UTC).date()
        asked = Asked(wanted, limit, after, request_id)
        page = predictions.read(ports, log, caller(), environment, name, asked)
        shown = tuple(_prediction(each) for each in page.predictions)
        return Json(wire.PredictionPage(name, environment, str(wanted), shown, page.after))

    return router


def _day(written: str) -> date:
    try:
        return datetime.strptime(written, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise BadInput(f"{written[:100]!r} is no day.", hint="Write it as 2026-11-23; days are those of UTC.") from None


def _prediction(of: prediction_ports.LoggedPrediction) -> wire.LoggedPrediction:
    labels = tuple(wire.Label(label.time, label.label, label.row) for label in of.labels)
    return wire.LoggedPrediction(
        of.time,
        of.request_id,
        of.model,
        of.version,
        of.release,
        of.engine,
        of.status,
        of.rows,
        of.seconds,
        of.content_type,
        of.input,
        of.output,
        labels,
    )
