"""What every request must keep to before anything looks at it: host, origin, who speaks for it, and its size."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections import deque
from collections.abc import Awaitable
from functools import lru_cache
from urllib.parse import urlsplit

from lockgate.domain.errors import BadInput
from lockgate.server import replies
from lockgate.server.arrival import CLOSED, FORWARDED, REQUEST_ID, Openings, new_request_id, request_id
from lockgate.server.problems import Problem
from lockgate.server.replies import App, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # whatever has another name may change something
_F_OR_X = frozenset({b"f", b"x"})  # how each of those begins
_OF_BODIES = frozenset({b"content-length", b"transfer-encoding"})
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
ARTIFACT_UPLOAD = re.compile(r"^/(ajax-)?api/2\.0/mlflow-artifacts/artifacts/")
BODY_LIMIT = 10 * 1024 * 1024
IDLE_LIMIT = 60.0  # seconds a client may be silent in the middle of its body


class Doors:
    """Lets a request in when its Host is ours and its Origin (if any) may speak to us, and says where it comes from.

    Behind it `scope["client"]` is the caller's address, `scope["scheme"]` what the caller used, and `scope[REQUEST_ID]`
    names the request; the answer carries that name. Forwarded headers count from a trusted proxy alone: from anybody
    else they are refused, not ignored, since the request came through something that nobody here decided on.
    """

    def __init__(
        self,
        app: App,
        openings: Openings = CLOSED,
    ) -> None:
        self._app = app
        told = {bare_host(host) for host in openings.hosts if host and not _is_wildcard(host)}
        self._hosts = LOOPBACK_NAMES | {host for host in told if not host.startswith("*.")}
        self._endings = tuple(host[1:] for host in sorted(told) if host.startswith("*."))
        self._origins = frozenset(origin.lower() for origin in openings.origins)
        self._proxies = openings.proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # one walk through the headers: every request pays for it
        hosts: list[bytes] = []
        origin = forwarded = told_id = None
        for key, value in scope["headers"]:
            if key == b"host":
                hosts.append(value)
            elif key == b"origin":
                origin = value if origin is None else origin
            elif key[:1] in _F_OR_X:
                if key == b"x-request-id":
                    told_id = value if told_id is None else told_id
                elif FORWARDED.match(key):
                    forwarded = key if forwarded is None else forwarded
        named = new_request_id() if told_id is None else request_id(told_id)
        scope[REQUEST_ID] = named
        send = _with_request_id(send, named)
        if forwarded is not None:
            try:
                hosts = self._proxies.believe(scope, forwarded, hosts)
            except BadInput as refused:
                await replies.problem(send, Problem(400, "INVALID_PARAMETER_VALUE", str(refused)))
                return
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            await replies.problem(send, self._stranger(hosts))
            return
        if origin is None:
            await self._app(scope, receive, send)
        else:
            await self._page(origin, hosts[0], scope, receive, send)

    async def _page(self, origin: bytes, host: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        if origin.decode("latin-1").lower() in self._origins:
            if scope["method"] == "OPTIONS" and replies.header(scope, b"access-control-request-method") is not None:
                await _may_ask(origin, scope, send)
                return
            send = _readable_to(origin, send)
        elif scope["method"] in SAFE:
            await self._app(scope, receive, send)  # what such a page may read is for who answers to say
            return
        elif not _same_origin(origin, host):
            page = origin.decode("latin-1")[:200]
            said = f"A page of {page!r} may not change anything here. Whoever runs the server allows it with "
            await replies.problem(send, Problem(403, "PERMISSION_DENIED", f"{said}--allowed-origins."))
            return
        # that is settled here, and MLflow's own code knows no other origin than loopback's
        scope["headers"] = [(key, value) for key, value in scope["headers"] if key != b"origin"]
        await self._app(scope, receive, send)

    def _is_ours(self, host: bytes) -> bool:
        named = _named(host)
        return named in self._hosts or (bool(self._endings) and named.endswith(self._endings))

    def _stranger(self, hosts: list[bytes]) -> Problem:
        seen = ", ".join(host.decode("latin-1") for host in hosts)[:200] or "none"
        known = ", ".join([*sorted(self._hosts), *(f"*{ending}" for ending in self._endings)])
        said = f"The Host header names {seen!r}. This server answers to {known}; --allowed-hosts names more."
        return Problem(403, "PERMISSION_DENIED", said)


class Size:
    """Bounds what a client can make us hold: bodies over the limit get 413, and a client that falls silent is dropped.

    Artifact uploads are streamed to where they belong, so only their silence is bounded.
    """

    def __init__(self, app: App, limit: int = BODY_LIMIT, idle: float = IDLE_LIMIT) -> None:
        self._app = app
        self._limit = limit
        self._idle = idle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if has_no_body(scope):
            await self._app(scope, receive, send)  # there is nothing to wait for
            return
        patient = self._patient(receive)
        if scope["method"] == "PUT" and ARTIFACT_UPLOAD.match(scope["path"]):
            await self._app(scope, patient, send)
            return
        length = replies.header(scope, b"content-length")
        if length is not None and length.isdigit():
            if int(length) > self._limit:
                await self._too_large(send)
                return
            await self._app(scope, patient, send)
            return
        held = await self._held(patient)
        if held is None:
            await self._too_large(send)
            return
        await self._app(scope, _replayed(held, receive), send)

    async def _too_large(self, send: Send) -> None:
        said = f"The body is larger than {self._limit} bytes. Artifacts are sent by PUT to {ARTIFACTS}."
        await replies.problem(send, Problem(413, "INVALID_PARAMETER_VALUE", said))

    def _patient(self, receive: Receive) -> Receive:
        whole = False

        async def next_message() -> Message:
            nonlocal whole
            if whole:  # what comes now is the client leaving, and it may stay as long as it likes
                return await receive()
            try:
                async with asyncio.timeout(self._idle):
                    message = await receive()
            except TimeoutError:
                whole = True
                return {"type": "http.disconnect"}
            whole = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        return next_message

    async def _held(self, receive: Receive) -> deque[Message] | None:
        # without a Content-Length the size is known only at the end, and a half-read request cannot be answered cleanly
        messages: deque[Message] = deque()
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self._limit:
                return None
            if message["type"] != "http.request" or not message.get("more_body", False):
                return messages


def has_no_body(scope: Scope) -> bool:
    """Whether nothing follows the head of the request. A GET may carry a body, and is then read like any other."""
    if scope["method"] not in SAFE:
        return False
    return _OF_BODIES.isdisjoint([key for key, _ in scope["headers"]])


def bare_host(written: str) -> str:
    """The host of `localhost:5000`, `[::1]:5000` or `LOCALHOST`, in lower case and without port or brackets."""
    host = written.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


@lru_cache(maxsize=256)
def _named(host: bytes) -> str:
    return bare_host(host.decode("latin-1"))


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(bare_host(host)).is_unspecified
    except ValueError:
        return False


def _same_origin(origin: bytes, host: bytes) -> bool:
    return urlsplit(origin.decode("latin-1")).netloc.lower() == host.decode("latin-1").strip().lower()


def _with_request_id(send: Send, named: str) -> Send:
    line = (b"x-request-id", named.encode())

    # no coroutine of its own: every message of every answer passes here
    def tagged(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], line]
        return send(message)

    return tagged


def _readable_to(origin: bytes, send: Send) -> Send:
    """The page may read the answer. What the application says about that itself is replaced."""

    async def opened(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(key, value) for key, value in message["headers"] if not _is_of_cors(key)]
            message["headers"] = [*kept, *_cors(origin)]
        await send(message)

    return opened


async def _may_ask(origin: bytes, scope: Scope, send: Send) -> None:
    """Answer what a browser asks before it lets a page of another origin send its request."""
    wanted = replies.header(scope, b"access-control-request-headers") or b"authorization, content-type"
    headers = [
        *_cors(origin),
        (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
        (b"access-control-allow-headers", wanted),
        (b"access-control-max-age", b"600"),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _cors(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]


def _is_of_cors(key: bytes) -> bool:
    return key.lower().startswith(b"access-control-")


def _replayed(messages: deque[Message], receive: Receive) -> Receive:
    async def next_message() -> Message:
        return messages.popleft() if messages else await receive()

    return next_message
