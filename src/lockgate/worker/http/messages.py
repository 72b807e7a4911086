"""A request as it came and the answer it gets: what the edge and everything behind it speak of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

JSON = b"application/json"
CLOSE = (b"connection", b"close")


@dataclass(slots=True)
class Answer:
    """One HTTP answer. `identity` is a rendered block of header lines that names what computed it.

    Each line of `identity` ends with CR LF. The edge adds the length, the request's id, and `Connection`.
    """

    status: int
    body: bytes
    content_type: bytes = JSON
    identity: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    rows: int = 0  # that were predicted for it


class Link(Protocol):
    """The client connection that a request came on, as far as what is behind the edge may use it."""

    home: str
    """The endpoint by whose port the client came: its model answers a path that names none."""
    switches: int
    """How many times this connection was handed from one model to another."""

    def hand_over(self, folder: Path) -> bool:
        """Give the connection, with the request that is being answered, to the worker of that folder.

        True: the request is not ours any more, and must not be answered. False: it cannot be handed over (TLS, an
        earlier answer is still on its way, bytes of the request were not kept): answer it, or pass the request on.
        """
        ...


@dataclass(slots=True)
class Request:
    """One whole request. `path` is as it was sent, without the query; names of headers are in lower case.

    `id` is the client's `X-Request-Id` where it is a sane one, else a fresh one. `link` is None where a connection
    cannot be handed on at all. The list of headers is not to be changed: requests that look the same share it.
    """

    method: bytes
    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    content_type: bytes = b""  # as sent; empty when there was none
    id: bytes = b""
    began: float = 0.0  # by time.monotonic(), when its first byte came
    link: Link | None = None

    def header(self, name: bytes) -> bytes:
        """The value of the first header of that name, empty when there is none."""
        return next((value for key, value in self.headers if key == name), b"")


Reply = Callable[[Answer], None]
"""Gives a request its answer: called once, on the loop's thread, now or later."""

App = Callable[[Request, Reply], None]
"""What answers requests. It must not raise and must not block the loop for longer than about a millisecond."""


def identity_of(model: str, version: int, release: str) -> bytes:
    """The header lines that name what computes an answer."""
    names = {"model": model, "version": str(version), "release": release}
    return "".join(f"x-lockgate-{what}: {quote(name, safe='')}\r\n" for what, name in names.items()).encode()


def failure(status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> Answer:
    """An error in the form MLflow's clients read."""
    return Answer(status, json.dumps({"error_code": code, "message": message}).encode(), headers=headers)
