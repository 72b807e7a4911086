"""Where MLflow's code stumbles over a request to the registry, it answers a page: ours is JSON, and says why."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import InternalServerError

from lockgate.server.problems import Problem
from lockgate.server.registry import known_routes

# what parsing a value of an unexpected form ends in; anything else is no fault of the request
_OF_THE_REQUEST = (ValueError, TypeError, AttributeError, LookupError)


def explain(app: Flask) -> None:
    """Answer in MLflow's form of errors where one of its handlers fails. The failure is in the log by then."""
    app.register_error_handler(InternalServerError, _answer)


def _answer(error: InternalServerError) -> Any:
    if error.original_exception is None or not known_routes.is_of_the_registry(request.path):
        return error
    told = problem_of(error.original_exception)
    return Response(json.dumps(told.as_json()), told.status, mimetype="application/json")


def problem_of(failure: BaseException) -> Problem:
    """What a client is told of a failure inside MLflow's handlers. A 5xx would make it repeat the request."""
    if not isinstance(failure, _OF_THE_REQUEST):
        return Problem(500, "INTERNAL_ERROR", "The server failed at this request; its log says where.")
    first = next(iter(str(failure).splitlines()), "")[:200] or type(failure).__name__
    return Problem(
        400,
        "INVALID_PARAMETER_VALUE",
        f"The server could not make sense of this request: {first}. Look at the form of each parameter.",
    )
