"""Every way a question to the API can end badly, told in one shape: what is wrong, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lockgate.domain.errors import BadInput, LockgateError
from lockgate.server.api.answering import Json
from lockgate.server.problems import explain
from lockgate.wire.requests import PREFIX
from lockgate.wire.shapes import Gate, Problem, ProblemDetail

_log = structlog.get_logger(__name__)
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def add_faults(app: FastAPI, new_id: Callable[[], str]) -> None:
    """Answer every error in the shape of `Problem`. `new_id` names unexpected ones, in the answer and in the log."""
    app.add_exception_handler(LockgateError, _ours)
    app.add_exception_handler(RequestValidationError, _query)
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_middleware(_Unexpected, new_id=new_id)


def told(error: LockgateError) -> Json:
    """The answer for an error of ours."""
    found = explain(error)
    detail = found.detail
    problem = Problem(
        found.code,
        error.message,
        error.hint.strip(),
        ProblemDetail(
            kind=kind_of(type(error)),
            promotion=detail.get("promotion", ""),
            standing=detail.get("standing", ""),
            gates=tuple(Gate(**gate) for gate in detail.get("gates", ())),
            next=detail.get("next", ""),
        ),
    )
    return Json(problem, status_code=found.status)


def kind_of(error: type[LockgateError]) -> str:
    """What ProblemDetail calls an error: `BadInput` is bad_input."""
    return _CAPITAL.sub("_", error.__name__).lower()


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, LockgateError), "registered for nothing else"
    return told(error)


async def _query(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for nothing else"
    return told(BadInput("; ".join(_wrong(each) for each in error.errors()) + "."))


def _wrong(found: Mapping[str, Any]) -> str:
    where: Sequence[Any] = found["loc"]
    name = where[-1]
    limits = found.get("ctx", {})
    expected = {
        "missing": "it is required",
        "int_parsing": "expected a whole number",
        "greater_than_equal": f"expected {limits.get('ge')} or more",
        "less_than_equal": f"expected {limits.get('le')} or less",
    }.get(found["type"], found["msg"])
    return f"{where[0]} {name}: {expected}"


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for nothing else"
    asked = f"{request.method} {PREFIX}{_path_inside(request.scope)}"
    hint = f"The routes are listed at {PREFIX}/openapi.json."
    if error.status_code == 404:
        problem = Problem("ENDPOINT_NOT_FOUND", f"There is no {asked}.", hint, ProblemDetail(kind="not_found"))
        return Json(problem, status_code=404)
    allowed = (error.headers or {}).get("Allow", "")
    hint = f"It takes {allowed}. {hint}" if allowed else hint
    code = "BAD_REQUEST" if error.status_code < 500 else "INTERNAL_ERROR"
    problem = Problem(code, f"{asked} is not possible: {error.detail}.", hint, ProblemDetail(kind="bad_input"))
    return Json(problem, status_code=error.status_code, headers=error.headers)


def _path_inside(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


class _Unexpected:
    """What nobody foresaw: 500 with an id, and under that id the whole story in the log. No traceback leaves here."""

    def __init__(self, app: ASGIApp, new_id: Callable[[], str]) -> None:
        self._app = app
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            # the last door: whatever it is, the caller gets an answer and we get the story
            id = self._new_id()
            _log.exception("unexpected", id=id, method=scope.get("method"), path=scope.get("path"))
            if started:
                raise
            hint = f"This is a fault of Lockgate. The server's log tells more under {id}."
            problem = Problem(
                "INTERNAL_ERROR", f"Something unexpected happened ({id}).", hint, ProblemDetail("internal")
            )
            await Json(problem, status_code=500)(scope, receive, send)
