"""A small request's body, read whole and given on as if nobody had read it."""

from __future__ import annotations

from lockgate.server.replies import Message, Receive


async def whole(receive: Receive) -> bytes | None:
    """All of the body; None when the client left in the middle of it."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def again(body: bytes, receive: Receive) -> Receive:
    """What gives that body first, and then what the client does after it."""
    first = True

    async def next_message() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return next_message
