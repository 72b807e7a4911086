"""One client connection: requests out of bytes, one after the other, and their answers in the same order."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path
from time import monotonic
from typing import Any

from lockgate.worker.http.answers import CONTINUE, rendered
from lockgate.worker.http.chunks import BadChunk, Chunks, TooLong
from lockgate.worker.http.heads import CHUNKED, END, BadHead, Head
from lockgate.worker.http.limits import LINGER_SECONDS
from lockgate.worker.http.messages import CLOSE, Answer, Request, failure
from lockgate.worker.http.shared import Exchange, Shared, too_long, too_many

_log = logging.getLogger("lockgate.worker")
_NEVER = float("inf")
_AT_ONCE = 64  # requests of one connection that are answered before others have their turn
_FLUSH_SECONDS = 0.005
_LONGEST_KEPT = 4096  # bytes of a head that are kept in case that the next one is the same
_LEAST_READ = 64 * 1024  # bytes of an answer that a client takes within the limit for writing
_INTERNAL = failure(500, "INTERNAL_ERROR", "The request could not be answered.", CLOSE)


class Connection(asyncio.Protocol):
    """One client connection.

    The next request is not looked at before the present one has its answer: that alone keeps pipelined answers in
    order, and leaves the bytes of later requests whole for a worker that takes the connection over.
    """

    __slots__ = (
        *("__weakref__", "_adopted", "_at", "_began", "_body", "_chunks", "_deadline", "_ending", "_exchange"),
        *("_full", "_half_closed", "_head", "_held", "_last", "_missing", "_paused", "_reading_bytes", "_request"),
        *("_secure", "_serving", "_shared", "_transport", "_turn", "_unwritten", "client", "home", "leaving"),
        "switches",
    )

    def __init__(self, shared: Shared, adopted: bytes | None = None, home: str = "", switches: int = 0) -> None:
        self.home = home or shared.home
        self.switches = switches
        self.leaving = shared.leaving
        self.client = ""
        self._shared = shared
        self._adopted = adopted
        self._transport: Any = None
        self._secure = False
        self._held = b""  # bytes that came and are not read yet, from `_at` on
        self._at = 0
        self._head: Head | None = None  # of the request that is being read or answered
        self._last: Head | None = None
        self._body: bytearray | None = None  # that is being read
        self._missing = 0
        self._chunks: Chunks | None = None
        self._reading_bytes = 0  # of the body that is on its way, as they count among all
        self._exchange: Exchange | None = None
        self._request: Request | None = None
        self._began = 0.0
        self._deadline = _NEVER
        self._serving = False
        self._turn = False  # others have theirs, and then it is ours
        self._ending = False
        self._half_closed = False
        self._paused = False  # reading, by us
        self._full = False  # the client does not read its answers
        self._unwritten = 0

    # --- what the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, or turn it away when there are too many. One that was handed over goes on where it was."""
        shared = self._shared
        self._transport = transport
        self._secure = transport.get_extra_info("sslcontext") is not None
        self._deadline = monotonic() + shared.limits.idle_seconds
        adopted, self._adopted = self._adopted, None
        shared.open.add(self)
        if adopted:
            self.data_received(adopted)
        elif adopted is None and len(shared.open) > 2 * shared.limits.connections:
            transport.abort()  # type: ignore[attr-defined]  # even refusing takes too much by now
        elif adopted is None and len(shared.open) > shared.limits.connections:
            self._refuse(too_many())
        elif shared.choose is not None:
            self._offer_soon()

    def data_received(self, data: bytes) -> None:
        """Read on where the last bytes ended."""
        if self._ending:
            self._discard(len(data))
        elif self._exchange is not None or self._full or self._turn:
            self._hold(data)
        elif self._shared.choose is not None and not self.leaving:
            self._hold(data)
            self._offer_soon()
        elif self._body is not None:
            self._read_body(data)
        elif self._chunks is not None:
            self._read_chunks(data)
        elif self._held:
            self._held, self._at = self._held[self._at :] + data, 0
            self._serve()
        else:
            self._began = monotonic()
            self._held, self._at = data, 0
            self._serve()

    def eof_received(self) -> bool:
        """A client that will say no more still gets its answer; one that broke off in the middle of a request none."""
        if not self._secure and not self._ending and (self._exchange is not None or self._full or self._turn):
            self._half_closed = True
            return True
        self._forget()
        self._ending = True
        self._deadline = monotonic() + self._shared.limits.write_seconds
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        """Forget it."""
        self._shared.open.discard(self)
        self._forget()

    def pause_writing(self) -> None:
        """The client does not read: nothing more is computed for it until it does."""
        self._full = True
        self._wait_for_the_client()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._full = False
        if not self._ending and self._exchange is None:
            self._deadline = monotonic() + self._shared.limits.idle_seconds
            self._go_on()

    # --- reading

    def _serve(self) -> None:
        """Answer what is held, one request after the other, until one waits, is incomplete, or others have a turn."""
        self._serving = True
        try:
            for _ in range(_AT_ONCE):
                if not self._serve_next():
                    return
        finally:
            self._serving = False
        self._turn = True
        asyncio.get_running_loop().call_soon(self._go_on)

    def _serve_next(self) -> bool:
        """Whether there may be another one."""
        held, at = self._held, self._at
        head = self._last
        # most clients send the same head again and again
        if head is None or not held.startswith(head.raw, at):
            head = self._read_head()
            if head is None:
                return False
            at = self._at
        end = at + len(head.raw)
        body = b""
        if head.length:
            if not 0 <= head.length <= min(len(held) - end, self._shared.limits.body_bytes):
                self._begin_body(head, end)
                return self._has_more()
            body = held[end : end + head.length]
            end += head.length
        if end == len(held):
            self._held, self._at = b"", 0
        else:
            self._at = end
        self._head = head
        self._ask(head, body)
        return self._has_more()

    def _has_more(self) -> bool:
        """Whether it is another request's turn and there are bytes of one. With none left the connection rests."""
        if self._exchange is not None or self._ending or self._full:
            return False
        if self._body is not None or self._chunks is not None:
            return False
        if not self._held or (self._shared.choose is not None and not self.leaving):
            self._rest()
            return False
        self._began = monotonic()
        return True

    def _read_head(self) -> Head | None:
        held, at = self._held, self._at
        while held.startswith(b"\r\n", at):  # an empty line before a request is let be (RFC 9112, 2.2)
            at += 2
        self._at = at
        end = held.find(END, at)
        size = len(held) - at if end < 0 else end + len(END) - at
        if size > self._shared.limits.head_bytes:
            told = f"The head of the request is longer than {self._shared.limits.head_bytes} bytes."
            self._refuse(failure(431, "BAD_REQUEST", told, CLOSE))
        elif end < 0:
            self._wait_for_the_head(held, at)
        else:
            try:
                head = self._shared.head(held[at : end + len(END)])
            except BadHead as error:
                self._refuse(failure(error.status, "BAD_REQUEST", str(error), CLOSE))
            else:
                self._last = head if len(head.raw) <= _LONGEST_KEPT else None
                return head
        return None

    def _wait_for_the_head(self, held: bytes, at: int) -> None:
        rest = held[at:]
        self._held, self._at = rest, 0
        if not rest:
            self._rest()
        elif rest.count(b"\n") != rest.count(b"\r\n") or not (rest[:1].isalpha() or rest == b"\r"):
            self._refuse(failure(400, "BAD_REQUEST", "This is not HTTP.", CLOSE))
        else:
            self._deadline = self._began + self._shared.limits.read_seconds
            self._read_on()
            if self._half_closed:
                self._end(linger=False)

    def _begin_body(self, head: Head, end: int) -> None:
        """Read a body that is not here as a whole, or does not tell its length before."""
        limits = self._shared.limits
        rest = self._held[end:]
        self._held, self._at, self._head = b"", 0, head
        if head.length > limits.body_bytes:
            self._refuse(too_long(self._shared.limits))
            return
        self._deadline = self._began + limits.read_seconds
        self._read_on()
        if head.expects and not rest:
            self._transport.write(CONTINUE)
        if head.length == CHUNKED:
            self._chunks = Chunks(limits.body_bytes)
            self._read_chunks(rest)
        else:
            self._body, self._missing = bytearray(), head.length
            self._read_body(rest)
        if self._half_closed and self._exchange is None and (self._body is not None or self._chunks is not None):
            self._end(linger=False)  # the rest of it never comes

    def _read_body(self, data: bytes) -> None:
        assert self._body is not None
        missing = self._missing
        if len(data) < missing:
            if self._count(len(data)):
                self._body += data
                self._missing = missing - len(data)
            return
        self._body += memoryview(data)[:missing]
        body, self._body = bytes(self._body), None
        self._complete(body, data[missing:])

    def _read_chunks(self, data: bytes) -> None:
        assert self._chunks is not None
        if not self._count(len(data)):
            return
        try:
            rest = self._chunks.feed(data)
        except BadChunk as error:
            self._refuse(failure(400, "BAD_REQUEST", str(error), CLOSE))
        except TooLong:
            self._refuse(too_long(self._shared.limits))
        else:
            if rest is not None:
                body, self._chunks.body = bytes(self._chunks.body), bytearray()
                self._complete(body, rest)

    def _count(self, size: int) -> bool:
        """Whether there is room for so many more bytes of bodies; if not, the request is turned away."""
        shared = self._shared
        if shared.reading_bytes + size > shared.limits.reading_bytes:
            told = "Too many large requests are on their way to this endpoint."
            self._refuse(failure(503, "TEMPORARILY_UNAVAILABLE", told, (b"retry-after", b"1"), CLOSE))
            return False
        shared.reading_bytes += size
        self._reading_bytes += size
        return True

    def _complete(self, body: bytes, rest: bytes) -> None:
        assert self._head is not None
        self._held, self._at = rest, 0
        self._ask(self._head, body)
        if self._exchange is None and not self._ending and not self._serving:
            self._go_on()

    def _go_on(self) -> None:
        """After an answer that came later, or when others had their turn."""
        self._turn = False
        if self._ending or self._full or self._exchange is not None or self._serving:
            return
        if self._shared.choose is not None and not self.leaving:
            self._offer_soon()
            return
        if len(self._held) - self._at <= self._shared.limits.held_bytes:
            self._read_on()
        if self._body is not None or self._chunks is not None:
            rest, self._held, self._at = self._held[self._at :], b"", 0
            self._read_on()
            self.data_received(rest)
        elif self._at < len(self._held):
            self._began = monotonic()
            self._serve()
        else:
            self._rest()

    def _rest(self) -> None:
        """Every request that is here as a whole has its answer, or the next is somebody else's to answer."""
        self._deadline = monotonic() + self._shared.limits.idle_seconds
        if self._shared.choose is not None and not self.leaving:
            self._offer_soon()
        elif self._half_closed:
            self._end(linger=False)
        else:
            self._read_on()

    def _hold(self, data: bytes) -> None:
        self._held, self._at = self._held[self._at :] + data, 0
        if len(self._held) > self._shared.limits.held_bytes and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _discard(self, size: int) -> None:
        self._missing += size
        if self._missing > self._shared.limits.body_bytes:
            self._transport.abort()

    # --- answering

    def _ask(self, head: Head, body: bytes) -> None:
        shared = self._shared
        exchange = self._exchange = Exchange(self)
        request = self._request = Request(
            head.method,
            head.path,
            head.query,
            head.headers,
            body,
            head.content_type,
            head.id or shared.fresh_id(),
            self._began,
            exchange if shared.give is not None else None,
        )
        self._deadline = _NEVER
        try:
            shared.app(request, exchange)
        except Exception:  # noqa: BLE001 - what is behind the edge must not raise, and a client would wait for ever
            _log.exception("a request could not be answered")
            exchange(_INTERNAL)

    def answered(self, answer: Answer) -> None:
        """Write the answer of the present request, and go on to the next. For `Exchange`."""
        shared, head, request = self._shared, self._head, self._request
        assert head is not None
        assert request is not None
        self._exchange = self._head = self._request = self._chunks = None
        if self._reading_bytes:
            self._uncount()
        kept = head.keep_alive and not self.leaving and CLOSE not in answer.headers
        bodiless = head.method == b"HEAD"
        self._transport.write(
            rendered(answer, request.id, shared.date, kept=kept, is_old=head.is_old, bodiless=bodiless)
        )
        if shared.access is not None:
            shared.access.add(request, answer, self.client or self._named())
        if not kept:
            # TLS has no half of a connection to close, and this client has said all it had to
            self._end(linger=head.keep_alive and not self._secure)
        elif not self._serving:
            self._go_on()

    def _refuse(self, answer: Answer) -> None:
        """Answer what never became a request."""
        shared, head = self._shared, self._head
        answer.identity = shared.identity
        id_ = head.id if head is not None else b""
        request = Request(b"", b"", b"", [], b"", id=id_ or shared.fresh_id(), began=self._began or monotonic())
        if head is not None:
            request.method, request.path = head.method, head.path
        bodiless = request.method == b"HEAD"
        self._transport.write(rendered(answer, request.id, shared.date, kept=False, is_old=False, bodiless=bodiless))
        if shared.refused is not None:
            shared.refused(request, answer)
        if shared.access is not None:
            shared.access.add(request, answer, self.client or self._named())
        self._end(linger=True)

    def _named(self) -> str:
        peer = self._transport.get_extra_info("peername")
        self.client = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "unix"
        return self.client

    def _end(self, *, linger: bool) -> None:
        """Close once everything is written.

        `linger`: the client may still be sending, and a close would make the kernel throw the answer away that is on
        its way (RFC 9112, 9.6). So only our side is closed, and what comes is read over for a while.
        """
        self._forget()
        self._ending = True
        limits = self._shared.limits
        self._missing = 0
        if linger and not self._half_closed:
            self._deadline = monotonic() + LINGER_SECONDS
            self._read_on()
            if self._transport.can_write_eof():
                self._transport.write_eof()
        else:
            self._deadline = monotonic() + limits.write_seconds
            self._transport.close()

    def _forget(self) -> None:
        if self._exchange is not None:
            self._exchange.forget()
        self._exchange = self._head = self._request = self._chunks = self._body = self._last = None
        self._held, self._at = b"", 0
        self._uncount()

    def _uncount(self) -> None:
        self._shared.reading_bytes -= self._reading_bytes
        self._reading_bytes = 0

    # --- leaving, and limits on time

    @property
    def is_busy(self) -> bool:
        """Whether a request is being read or answered, or an answer is not written yet."""
        if self._ending:
            return False
        if self._exchange is not None or self._body is not None or self._chunks is not None or self._held:
            return True
        return self._turn or bool(self._transport.get_write_buffer_size())

    def close_if_idle(self) -> None:
        """Close, unless a request is under way or has just arrived."""
        if not self.is_busy and not self._has_unread_bytes():
            self._ending = True
            self._transport.close()

    def look_at(self, now: float) -> None:
        """Close what took too long."""
        if self._deadline > now:
            return
        unwritten = self._transport.get_write_buffer_size()
        if unwritten and self._unwritten - unwritten >= _LEAST_READ:
            self._wait_for_the_client()  # a slow one, but it reads
        elif unwritten or self._ending:
            self._transport.abort()
        elif self._body is not None or self._chunks is not None or self._held:
            self._refuse(failure(408, "BAD_REQUEST", "The request did not come whole in time.", CLOSE))
        elif self._has_unread_bytes():
            self._deadline = now + 1.0
        else:
            self._end(linger=False)

    def _wait_for_the_client(self) -> None:
        self._unwritten = self._transport.get_write_buffer_size()
        if self._exchange is None:
            self._deadline = monotonic() + self._shared.limits.write_seconds

    def _has_unread_bytes(self) -> bool:
        """Whether the kernel holds bytes of this connection that the loop has not seen."""
        told = self._transport.get_extra_info("socket")
        if told is None or self._transport.is_closing():
            return False
        with socket.socket(fileno=os.dup(told.fileno())) as same:
            try:
                return bool(same.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
            except OSError:
                return False

    # --- going to another worker

    def hand_over(self, folder: Path) -> bool:
        """Give the connection away with the request that waits for its answer. For `Exchange`."""
        head, request = self._head, self._request
        if head is None or request is None:
            return False
        body = bytes(self._chunks.raw) if self._chunks is not None else request.body
        return self._give(folder, head.raw + body + self._held[self._at :], self.switches + 1)

    def offer(self) -> None:
        """Give the connection to another worker once nothing is on its way to the client."""
        choose = self._shared.choose
        if self._exchange is not None or self._ending or self._transport.is_closing():
            return
        if choose is None or self.leaving:
            self._go_on()
            return
        if self._transport.get_write_buffer_size() and not self._secure:
            self._turn = True
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.offer)
            return
        folder = choose()
        if folder is None or not self._give(folder, self._unread(), self.switches):
            self.leaving = True
            self._go_on()

    def _offer_soon(self) -> None:
        # not at once: an answer is written at the end of the loop's turn, and a new connection is read from only then
        self._turn = True
        asyncio.get_running_loop().call_soon(self.offer)

    def _unread(self) -> bytes:
        head = self._head.raw if self._head is not None else b""
        if self._chunks is not None:
            return head + bytes(self._chunks.raw) + self._held[self._at :]
        return head + bytes(self._body or b"") + self._held[self._at :]

    def _give(self, folder: Path, raw: bytes, switches: int) -> bool:
        give, transport = self._shared.give, self._transport
        if give is None or self._secure or self._ending or transport.is_closing() or transport.get_write_buffer_size():
            return False
        told = transport.get_extra_info("socket")
        if not self._paused:
            # what comes from here on stays in the kernel, for whoever has the socket
            transport.pause_reading()
        try:
            with socket.socket(fileno=os.dup(told.fileno())) as same:
                given = give(folder, same, raw, self.home, switches)
        except Exception:  # noqa: BLE001 - whatever it was, the client is still ours
            _log.exception("a connection could not be given away")
            given = False
        if not given:
            if not self._paused:
                transport.resume_reading()
            return False
        self._forget()
        self._ending = True
        self._deadline = _NEVER
        # closes our descriptor and tells the client nothing: the socket lives on in the other worker
        transport.abort()
        return True
