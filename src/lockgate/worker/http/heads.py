"""The head of a request: from its bytes to what it says, and every reason to refuse it.

llhttp (by way of httptools) is the judge of what is HTTP. What it lets pass and RFC 9112 does not is refused here, so
that no proxy in front of a worker can read another request out of the same bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

from lockgate.worker.http.limits import MOST_HEADERS

END = b"\r\n\r\n"
CHUNKED = -1

_VERSIONS = (b" HTTP/1.1", b" HTTP/1.0")
_ID = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")
_MOST_DIGITS = 18


class BadHead(Exception):
    """The head is refused: `status` says how, the text why."""

    def __init__(self, status: int, because: str) -> None:
        super().__init__(because)
        self.status = status


@dataclass(slots=True)
class Head:
    """What one head says. Names of headers are in lower case; `length` is of the body, `CHUNKED` when it tells its own.

    `raw` is the head as it was sent, with the empty line. `id` is the client's name for the request, if it is sane.
    """

    raw: bytes
    method: bytes
    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    content_type: bytes = b""
    length: int = 0
    keep_alive: bool = True
    is_old: bool = False  # HTTP/1.0
    expects: bool = False  # to be told to go on before it sends the body
    id: bytes = b""


def parse(raw: bytes) -> Head:
    """Read a head that ends with its empty line. Raises BadHead."""
    line = raw[: raw.index(b"\r\n")]
    _refuse_what_others_may_read_otherwise(raw, line)
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # an offer that we do not take
    except httptools.HttpParserInvalidMethodError:
        raise BadHead(501, f"{_shown(line)} does not begin with a method this endpoint knows.") from None
    except httptools.HttpParserError as error:
        raise BadHead(400, f"This is not HTTP: {error}.") from None
    if not seen.complete:
        raise BadHead(400, "This is not HTTP.")
    head = Head(raw, parser.get_method(), b"", b"", seen.headers, is_old=line.endswith(b"0"))
    head.keep_alive = not head.is_old
    read_headers(head)
    _read_target(head, seen.target)
    return head


class _Seen:
    """What the parser calls back with."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


def _refuse_what_others_may_read_otherwise(raw: bytes, line: bytes) -> None:
    lines = raw.count(b"\r\n")
    if lines - 2 > MOST_HEADERS:
        raise BadHead(431, f"The request has more than {MOST_HEADERS} headers.")
    if raw.count(b"\n") != lines or raw.count(b"\r") != lines or b"\0" in raw:
        raise BadHead(400, "Lines of a request end with CR LF, and neither occurs alone.")
    if b"\r\n " in raw or b"\r\n\t" in raw:
        raise BadHead(400, "A header may not go on in the next line.")
    if not line.endswith(_VERSIONS):
        if re.search(rb" HTTP/\d(\.\d)?$", line):
            raise BadHead(505, f"This endpoint speaks HTTP/1.1, not {_shown(line.rpartition(b' ')[2])}.")
        raise BadHead(400, f"{_shown(line)} is no request line.")
    if line.count(b" ") != 2:
        raise BadHead(400, f"{_shown(line)} is no request line.")


def read_headers(head: Head) -> None:
    """Fill in what the headers of a head say. Raises BadHead."""
    hosts = lengths = codings = 0
    for name, value in head.headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-type":
            head.content_type = head.content_type or value
        elif name == b"content-length":
            lengths += 1
            head.length = _length(value)
        elif name == b"transfer-encoding":
            codings += 1
            if value.lower() != b"chunked":
                raise BadHead(501, f"Transfer-Encoding {_shown(value)} is not understood, only chunked is.")
        elif name == b"connection":
            _read_connection(head, value)
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise BadHead(417, f"Expect {_shown(value)} is not understood, only 100-continue is.")
            head.expects = not head.is_old
        elif name == b"x-request-id":
            head.id = value if _ID.fullmatch(value) else b""
    if hosts > 1 or (not hosts and not head.is_old):
        raise BadHead(400, "A request has one Host header.")
    if codings:
        if lengths or codings > 1 or head.is_old:
            raise BadHead(400, "The length of the body is told in two ways.")
        head.length = CHUNKED
    elif lengths > 1:
        raise BadHead(400, "The length of the body is told twice.")


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > _MOST_DIGITS:
        raise BadHead(400, f"Content-Length {_shown(value)} is no length.")
    return int(value)


def _read_connection(head: Head, value: bytes) -> None:
    options = {option.strip() for option in value.lower().split(b",")}
    if b"close" in options:
        head.keep_alive = False
    elif b"keep-alive" in options and head.is_old:
        head.keep_alive = True


def _read_target(head: Head, target: bytes) -> None:
    if target.startswith(b"/") or target == b"*":
        told = target
    else:
        told = _of_absolute(head, target)
    if b"#" in told:
        raise BadHead(400, f"{_shown(target)} has a fragment, which is no part of a request.")
    head.path, _, head.query = told.partition(b"?")


def _of_absolute(head: Head, target: bytes) -> bytes:
    """The path and query of `http://host/path?query`, whose host counts more than the header (RFC 9112, 3.2.2)."""
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        raise BadHead(400, f"{_shown(target)} is no path on this endpoint.")
    authority = re.split(rb"[/?#]", rest, maxsplit=1)[0]
    if not authority or b"@" in authority:
        raise BadHead(400, f"{_shown(target)} names no host.")
    head.headers[:] = [(name, authority if name == b"host" else value) for name, value in head.headers]
    path = rest[len(authority) :]
    return path if path.startswith(b"/") else b"/" + path


def _shown(value: bytes) -> str:
    return repr(value[:100].decode("latin-1"))
