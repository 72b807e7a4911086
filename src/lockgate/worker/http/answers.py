"""From an answer to the bytes on the wire."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

from lockgate.worker.http.messages import Answer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS = frozenset({*range(100, 200), 204, 304})
_LINES = {int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in HTTPStatus}
_KEPT = {False: b"connection: close\r\n", True: b"connection: keep-alive\r\n"}


def date_line() -> bytes:
    """The present moment as a header line. It changes once a second: make it no more often."""
    return b"date: " + formatdate(time.time(), usegmt=True).encode() + b"\r\n"


def rendered(answer: Answer, request: bytes, date: bytes, *, kept: bool, is_old: bool, bodiless: bool) -> bytes:
    """Head and body. `request` is the request's id; `bodiless` is for HEAD: the length is told, the body is not sent.

    `kept` says whether the connection stays open; `is_old` that the client speaks HTTP/1.0 and must be told so.
    """
    body, status = answer.body, answer.status
    parts = [_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status]
    if answer.content_type:
        parts += (b"content-type: ", answer.content_type, b"\r\n")
    parts += (answer.identity, date, b"x-request-id: ", request)
    for name, value in answer.headers:
        if name != b"connection":
            parts += (b"\r\n", name, b": ", value)
    if status in _BODILESS:
        parts.append(b"\r\n")
        body = b""
    else:
        parts.append(b"\r\ncontent-length: %d\r\n" % len(body))
    if is_old or not kept:
        parts.append(_KEPT[kept])
    parts.append(b"\r\n")
    if not bodiless:
        parts.append(body)
    return b"".join(parts)
