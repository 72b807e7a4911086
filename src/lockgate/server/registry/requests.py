"""The body of a request, taken whole and handed on again."""

from __future__ import annotations

from lockgate.server.replies import Message, Receive

PREFIXES = ("/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/")


async def entire_body(receive: Receive) -> bytes | None:
    """The whole body; None when the client left in the middle of it."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives this body first, and afterwards whatever still comes."""
    first = True

    async def next_message() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return next_message
