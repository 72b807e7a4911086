"""Calls an ASGI application directly, without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockgate.server.replies import App, Message, Receive, Scope, Send


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Echo:
    """An application that answers 200 with the size of the body it read, and keeps the scopes it was given."""

    seen: list[Scope]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps({"size": size}).encode()})


def ask(
    app: App,
    method: str = "GET",
    path: str = "/",
    *,
    headers: Mapping[str, str] | None = None,
    chunks: Sequence[bytes] = (b"",),
    client: str = "127.0.0.1",
) -> Answer:
    """One request and its answer."""
    return asyncio.run(ask_inside(app, method, path, headers=headers, chunks=chunks, client=client))


async def ask_inside(
    app: App,
    method: str = "GET",
    path: str = "/",
    *,
    headers: Mapping[str, str] | None = None,
    chunks: Sequence[bytes] = (b"",),
    client: str = "127.0.0.1",
) -> Answer:
    """The same from inside an event loop."""
    told = {"host": "localhost:5000", **(headers or {})}
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "client": (client, 40000),
        "headers": [(name.lower().encode(), value.encode()) for name, value in told.items()],
    }
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": at + 1 < len(chunks)} for at, chunk in enumerate(chunks)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], body, told)
