"""Passing a request on to another worker of this machine, over its Unix socket or the address it accepts on.

Lines are kept open and used again: a load balancer's connection passes every other request on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httptools

from lockgate.wire.workers import FORWARD_SOCKET
from lockgate.worker.http.messages import Answer, Request
from lockgate.worker.local_sockets import connected

_log = logging.getLogger("lockgate.worker")
HOPS = b"x-lockgate-hops"  # how often a request was passed on; read on the workers' own sockets alone
_REQUEST_ID = b"x-request-id"
_OWN = b"x-lockgate-"
_OF_ONE_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"expect", b"proxy-connection"),
        *(b"upgrade", b"te", b"trailer", b"date", HOPS, _REQUEST_ID),
    }
)
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to connect when the listener is on all of them
_MOST_ASKED = 2  # workers that one request may reach: it may be what ends them
_MOST_IDLE = 64  # lines kept open to one worker
_LONGEST_ANSWER = 1 << 30

Address = Path | tuple[str, int]
"""A worker's folder, or the host and port that its group accepts on."""

Heard = Callable[[Answer | None], None]
"""Gets the answer, or None when nobody gave a whole one."""


@dataclass(slots=True)
class _Passing:
    """One request on its way: where it may still go, and who waits for the answer."""

    raw: tuple[bytes, bytes]
    left: list[Address]
    heard: Heard | None
    asked: int = 0
    line: _Line | None = None
    timer: asyncio.TimerHandle | None = None


class Passer:
    """Sends requests to other workers. At most `limit` are under way at a time. For the loop's thread alone."""

    def __init__(self, *, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._under_way = 0
        self._closed = False
        self._idle: dict[Address, list[_Line]] = {}
        self._lines: set[_Line] = set()
        self._connecting: set[asyncio.Task[None]] = set()

    def send(self, request: Request, to: Sequence[Address], heard: Heard, hops: int = 0) -> None:
        """Ask the first of `to` that answers. `heard` is called once, within the limit of seconds.

        A prediction is safe to ask for again: where a worker dies under a request, one other is asked.
        """
        if not to or self._under_way >= self._limit:
            heard(None)
            return
        self._under_way += 1
        # twice, so that the end of a line that was kept open too long is not the end of the request
        passing = _Passing(_written(request, hops + 1), [*to, *to], heard)
        passing.timer = asyncio.get_running_loop().call_later(self._seconds, self._too_late, passing)
        self._next(passing)

    def close(self) -> None:
        """Close every line, for good. What is under way gets None."""
        self._closed = True
        for line in list(self._lines):
            line.close()
        self._idle.clear()

    def _next(self, passing: _Passing) -> None:
        if passing.heard is None:
            return
        if self._closed or not passing.left or passing.asked >= _MOST_ASKED:
            self._done(passing, None)
            return
        address = passing.left.pop(0)
        idle = self._idle.get(address)
        while idle:
            line = idle.pop()
            if line.usable:
                self._use(line, passing)
                return
        task = asyncio.get_running_loop().create_task(self._connect(address, passing))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, address: Address, passing: _Passing) -> None:
        loop = asyncio.get_running_loop()

        def made() -> _Line:
            return _Line(self, address)

        try:
            if isinstance(address, Path):
                _, line = await loop.create_unix_connection(made, sock=connected(address, FORWARD_SOCKET))
            else:
                host, port = address
                _, line = await loop.create_connection(made, _ANYWHERE.get(host, host).strip("[]"), port)
        except OSError as error:
            _log.debug("nobody takes requests at %s: %s", address, error)
            self._next(passing)
            return
        if passing.heard is None:
            self.at_rest(line)
        else:
            self._use(line, passing)

    def _use(self, line: _Line, passing: _Passing) -> None:
        passing.line = line
        passing.asked += 1
        line.ask(passing)

    def _too_late(self, passing: _Passing) -> None:
        line, passing.line = passing.line, None
        self._done(passing, None)
        if line is not None:
            line.close()  # its answer would be taken for the next one's

    def _done(self, passing: _Passing, answer: Answer | None) -> None:
        heard, passing.heard = passing.heard, None
        if heard is None:
            return
        self._under_way -= 1
        if passing.timer is not None:
            passing.timer.cancel()
        heard(answer)

    # --- what lines tell

    def opened(self, line: _Line) -> None:
        """A line is there."""
        self._lines.add(line)

    def at_rest(self, line: _Line) -> None:
        """A line can be used again."""
        idle = self._idle.setdefault(line.address, [])
        if len(idle) < _MOST_IDLE:
            idle.append(line)
        else:
            line.close()

    def answered(self, passing: _Passing, answer: Answer) -> None:
        """A whole answer came."""
        self._done(passing, answer)

    def lost(self, line: _Line, passing: _Passing | None) -> None:
        """A line ended, with or without an answer still to come on it."""
        self._lines.discard(line)
        idle = self._idle.get(line.address)
        if idle is not None:
            with suppress(ValueError):
                idle.remove(line)
            if not idle:
                del self._idle[line.address]
        if passing is not None:
            passing.line = None
            self._next(passing)


class _Line(asyncio.Protocol):
    """One connection to another worker, with at most one request on it."""

    def __init__(self, passer: Passer, address: Address) -> None:
        self.address = address
        self._passer = passer
        self._passing: _Passing | None = None
        self._transport: Any = None
        self._parser: Any = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._length = 0

    @property
    def usable(self) -> bool:
        """Whether it is open."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, passing: _Passing) -> None:
        """Send a request; its answer or the end of the line is told to the passer."""
        self._passing = passing
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._parts, self._length = [], [], 0
        self._transport.writelines(passing.raw)

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio's protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._passer.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._passing is None:
            self.close()  # nothing was asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()
        if self._length > _LONGEST_ANSWER:
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        passing, self._passing = self._passing, None
        self._passer.lost(self, passing)

    # --- httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)
        self._length += len(part)

    def on_message_complete(self) -> None:
        passing, self._passing = self._passing, None
        if passing is None:
            return
        answer = _read(self._parser.get_status_code(), self._headers, b"".join(self._parts))
        if self._parser.should_keep_alive():
            self._passer.at_rest(self)
        else:
            self.close()
        passing.line = None
        self._passer.answered(passing, answer)


def hops_of(request: Request) -> int:
    """How often a request of a worker's own socket was passed on; a large number when that cannot be read."""
    told = request.header(HOPS)
    return int(told) if told.isdigit() and len(told) < 4 else 1000


def _written(request: Request, hops: int) -> tuple[bytes, bytes]:
    target = request.path + b"?" + request.query if request.query else request.path
    # the answer's length must be told: whoever passes it on leaves the body out where HEAD asked for it
    method = b"GET" if request.method == b"HEAD" else request.method
    head = [method + b" " + target + b" HTTP/1.1"]
    head += [name + b": " + value for name, value in request.headers if name not in _OF_ONE_HOP]
    head += [_REQUEST_ID + b": " + request.id] if request.id else []
    head += [HOPS + b": %d" % hops, b"content-length: %d" % len(request.body), b"", b""]
    return b"\r\n".join(head), request.body


def _read(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer:
    kept = [(name, value) for name, value in headers if name not in _OF_ONE_HOP]
    identity = b"".join(name + b": " + value + b"\r\n" for name, value in kept if name.startswith(_OWN))
    content_type = next((value for name, value in kept if name == b"content-type"), b"")
    rest = tuple(pair for pair in kept if pair[0] != b"content-type" and not pair[0].startswith(_OWN))
    return Answer(status, body, content_type, identity, rest)
