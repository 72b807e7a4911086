"""Passing a request on to whoever accepts on the shared address, so that an old connection gets the new answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

_OF_ONE_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"expect", b"proxy-connection"}
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to connect when the listener is on all of them


class Unanswered(Exception):
    """Nobody gave a whole answer at the shared address."""


@dataclass(frozen=True, slots=True)
class Passed:
    """The other group's answer, its headers as they came."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """One whole HTTP request as it arrived."""

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


async def forward(request: Request, host: str, port: int, seconds: float) -> Passed:
    """Send the same bytes to `host:port` and return the answer. Raises Unanswered, after `seconds` at the latest."""
    try:
        async with asyncio.timeout(seconds):
            try:
                return await _exchange(request, _ANYWHERE.get(host, host), port)
            except (OSError, Unanswered):
                # the worker that took it may have died under it; a prediction is safe to ask for again
                return await _exchange(request, _ANYWHERE.get(host, host), port)
    except (OSError, TimeoutError) as error:
        raise Unanswered(str(error)) from error


async def _exchange(request: Request, host: str, port: int) -> Passed:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_written(request))
        await writer.drain()
        return _read(await reader.read(), bodiless=request.method == "HEAD")
    finally:
        writer.close()


def _written(request: Request) -> bytes:
    head = [request.method.encode() + b" " + request.target + b" HTTP/1.1"]
    head += [name + b": " + value for name, value in _end_to_end(request.headers)]
    head += [b"content-length: " + str(len(request.body)).encode(), b"connection: close", b"", b""]
    return b"\r\n".join(head) + request.body


def _read(raw: bytes, *, bodiless: bool) -> Passed:
    head, found, body = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines[1:])]
    # our own workers always tell the length: anything shorter was cut off
    if not found or not (bodiless or len(body) == int(dict(pairs).get(b"content-length", b"-1"))):
        raise Unanswered("the answer was cut off")
    return Passed(int(lines[0].split()[1]), tuple(_end_to_end(pairs)), body)


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name not in _OF_ONE_HOP]
