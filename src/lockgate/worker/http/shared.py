"""What all connections of one edge have in common, and what they give to those behind the edge."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lockgate.worker.http.access import AccessLog
from lockgate.worker.http.answers import date_line
from lockgate.worker.http.heads import Head, parse
from lockgate.worker.http.limits import Limits
from lockgate.worker.http.messages import CLOSE, Answer, App, Request, failure

Give = Callable[[Path, socket.socket, bytes, str, int], bool]
"""Sends a connection to the worker of a folder, with unread bytes, home and switches. True: it is there."""

Refused = Callable[[Request, Answer], None]
"""Hears of what the edge turned away itself."""

_MOST_HEADS, _LONGEST_HEAD = 256, 2048  # heads that are kept, bytes of one


@dataclass(slots=True)
class Shared:
    """What all connections of one edge have in common."""

    app: App
    limits: Limits
    home: str = ""
    identity: bytes = b""
    give: Give | None = None
    access: AccessLog | None = None
    refused: Refused | None = None
    leaving: bool = False
    choose: Callable[[], Path | None] | None = None  # set while all connections are to be given away
    open: set[Any] = field(default_factory=set)
    date: bytes = field(default_factory=date_line)
    prefix: bytes = field(default_factory=lambda: os.urandom(6).hex().encode())
    count: int = 0
    reading_bytes: int = 0  # of all bodies that are on their way
    heads: dict[bytes, Head] = field(default_factory=dict)  # that were read before, by their bytes

    def head(self, raw: bytes) -> Head:
        """What a head says; nobody may change it. Raises BadHead.

        Clients send a few heads again and again: they differ in the length of the body. Reading one costs more than
        all the rest of the edge's work for a request.
        """
        known = self.heads.get(raw)
        if known is None:
            known = parse(raw)
            if len(raw) <= _LONGEST_HEAD:
                if len(self.heads) >= _MOST_HEADS:
                    self.heads.clear()  # somebody's differ each time: what is asked often is soon here again
                self.heads[raw] = known
        return known

    def fresh_id(self) -> bytes:
        """A name that no other request has."""
        self.count += 1
        return b"%b%08x" % (self.prefix, self.count)


class Waiting(Protocol):
    """A connection with one request that waits for its answer."""

    home: str
    switches: int

    def answered(self, answer: Answer) -> None:
        """Write it."""
        ...

    def hand_over(self, folder: Path) -> bool:
        """Give the connection to the worker of that folder."""
        ...


class Exchange:
    """One request that waits for its answer: the `Reply` it is given, and the `Link` it came on.

    It works once: an answer that comes again, or after the client or the connection has gone, goes nowhere.
    """

    __slots__ = ("_connection", "home", "switches")

    def __init__(self, connection: Waiting) -> None:
        self._connection: Waiting | None = connection
        self.home = connection.home
        self.switches = connection.switches

    def __call__(self, answer: Answer) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.answered(answer)

    def hand_over(self, folder: Path) -> bool:
        """See `Link`."""
        connection = self._connection
        if connection is None or not connection.hand_over(folder):
            return False
        self._connection = None
        return True

    def forget(self) -> None:
        """Nobody waits for the answer any more."""
        self._connection = None


def too_many() -> Answer:
    """What a connection beyond the limit is told."""
    return failure(503, "TEMPORARILY_UNAVAILABLE", "Too many connections are open.", (b"retry-after", b"1"), CLOSE)


def too_long(limits: Limits) -> Answer:
    """What a request with too large a body is told."""
    limit = limits.body_bytes / (1024 * 1024)
    told = f"The body is larger than {limit:g} MiB, the limit of this endpoint. Send fewer rows at a time."
    return failure(413, "BAD_REQUEST", told, CLOSE)
