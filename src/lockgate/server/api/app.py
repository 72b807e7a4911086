"""Lockgate's own API as one application: its routes, its description and its errors."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from lockgate import __version__
from lockgate.domain.policy import Policy
from lockgate.server.api import (
    approvals,
    break_glass,
    checks,
    drift,
    endpoint_tokens,
    engines,
    evidence,
    history,
    keeping,
    moves,
    people,
    policies,
    predictions,
    proposals,
    proving,
    record,
    semver,
    splits,
    standing,
    webhooks,
)
from lockgate.server.api.asking import known_query_only
from lockgate.server.api.faults import add_faults
from lockgate.usecases.access_ports import Passwords
from lockgate.usecases.custom_rules import CustomRules
from lockgate.usecases.ports import Ports
from lockgate.usecases.prediction_ports import NothingLogged, PredictionLog
from lockgate.wire.requests import PREFIX
from lockgate.wire.shapes import Problem

ABOUT = (
    "Every error has the shape of Problem. Log in by basic authentication, or by a token as bearer; while the server "
    "has no users, the header X-Lockgate-User claims a name. "
    "An answer of 202 means that the work goes on: follow it by its id."
)


def create_api(
    ports: Ports,
    passwords: Passwords,
    *,
    parse_policy: Callable[[str | None], Policy],
    trial: CustomRules | None = None,
    prediction_log: PredictionLog | None = None,
    served_at: str = "http://127.0.0.1",
) -> ASGIApp:
    """The API over these ports, to be mounted at PREFIX.

    `parse_policy` reads a policy file's text, its custom rules too, and raises BadInput; `trial` evaluates the rules of
    policies that are only tried (None: as those in force); `prediction_log` has what was logged (None:
    nothing); `served_at` is what the endpoints' URLs begin with. The caller is what
    `lockgate.server.identity.caller` says.
    """
    app = FastAPI(
        title="Lockgate",
        version=__version__,
        description=ABOUT,
        openapi_url="/openapi.json",
        # their pages load scripts from elsewhere, and this server may have no way there
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": PREFIX}],
        root_path_in_servers=False,
        dependencies=[Depends(known_query_only)],
        responses={"4XX": {"model": Problem}, "5XX": {"model": Problem}},
    )
    add_faults(app, lambda: ports.ids.new("err"))
    for router in (
        standing.routes(ports, served_at),
        endpoint_tokens.routes(ports),
        splits.routes(ports),
        moves.routes(ports),
        evidence.routes(ports),
        engines.routes(ports),
        checks.routes(ports),
        semver.routes(ports),
        approvals.routes(ports),
        break_glass.routes(ports),
        proposals.routes(ports, parse_policy),
        drift.routes(ports),
        record.routes(ports),
        policies.routes(ports, parse_policy, trial),
        predictions.routes(ports, prediction_log or NothingLogged()),
        history.routes(ports),
        keeping.routes(ports),
        proving.routes(ports),
        webhooks.routes(ports),
        people.routes(ports, passwords),
    ):
        app.include_router(router)
    return app
