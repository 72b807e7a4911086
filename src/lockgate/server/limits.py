"""What every request must keep to before anything looks at it: host, origin, no forwarded headers, and its size."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from lockgate.server import replies
from lockgate.server.problems import Problem
from lockgate.server.replies import App, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # whatever has another name may change something
FORWARDED = re.compile(rb"^(forwarded|x-forwarded-.+|x-real-ip|x-original-.+)$")
_F_OR_X = frozenset({b"f", b"x"})  # how each of those begins
_OF_BODIES = frozenset({b"content-length", b"transfer-encoding"})
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
ARTIFACT_UPLOAD = re.compile(r"^/(ajax-)?api/2\.0/mlflow-artifacts/artifacts/")
BODY_LIMIT = 10 * 1024 * 1024
IDLE_LIMIT = 60.0  # seconds a client may be silent in the middle of its body


class Doors:
    """Lets a request in when its Host is ours, its Origin (if any) is our own page, and no proxy speaks for it.

    Forwarded headers are refused, not ignored: while there are no users and no trusted proxies, a request that carries
    them came through something that makes this server reachable from elsewhere, and nobody decided that.
    """

    def __init__(self, app: App, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK_NAMES | {bare_host(host) for host in hosts if host and not _is_wildcard(host)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        if refusal is not None:
            await replies.problem(send, refusal)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Problem | None:
        # one walk through the headers: every request pays for it
        hosts: list[bytes] = []
        origin = forwarded = None
        for key, value in scope["headers"]:
            if key == b"host":
                hosts.append(value)
            elif key == b"origin":
                origin = value if origin is None else origin
            elif key[:1] in _F_OR_X and FORWARDED.match(key):
                forwarded = key if forwarded is None else forwarded
        if len(hosts) != 1 or _named(hosts[0]) not in self._hosts:
            seen = ", ".join(host.decode("latin-1") for host in hosts)[:200] or "none"
            known = ", ".join(sorted(self._hosts))
            return Problem(403, "PERMISSION_DENIED", f"The Host header names {seen!r}. This server answers to {known}.")
        if forwarded is not None:
            return Problem(
                400,
                "INVALID_PARAMETER_VALUE",
                f"The request carries {forwarded.decode('latin-1')}: it came through a proxy, and this server "
                "trusts none while it has no users. Connect to it directly, or have the proxy drop that header.",
            )
        if origin is not None and scope["method"] not in SAFE and not _same_origin(origin, hosts[0]):
            page = origin.decode("latin-1")[:200]
            return Problem(403, "PERMISSION_DENIED", f"A page of {page!r} may not change anything here.")
        return None


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


def _replayed(messages: deque[Message], receive: Receive) -> Receive:
    async def next_message() -> Message:
        return messages.popleft() if messages else await receive()

    return next_message
