"""Answers of our own doors, written straight to ASGI: they must work before any framework is imported."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from lockgate.server.problems import Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    return next((value for key, value in scope["headers"] if key == name), None)


async def text(send: Send, status: int, body: str) -> None:
    """Answer with plain text."""
    await _answer(send, status, body.encode(), b"text/plain; charset=utf-8")


async def json_body(send: Send, status: int, body: Any) -> None:
    """Answer with JSON."""
    await _answer(send, status, json.dumps(body).encode(), b"application/json")


async def raw_json(send: Send, status: int, body: str) -> None:
    """Answer with JSON that is written already."""
    await _answer(send, status, body.encode(), b"application/json")


async def problem(send: Send, told: Problem, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer with a problem, as MLflow's clients and ours read it, and with `more` headers."""
    await _answer(send, told.status, json.dumps(told.as_json()).encode(), b"application/json", more)


async def _answer(send: Send, status: int, body: bytes, kind: bytes, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"SAMEORIGIN"),
        *more,
    ]
    if status >= 400:
        headers.append((b"cache-control", b"no-store"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
