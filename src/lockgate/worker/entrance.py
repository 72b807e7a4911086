"""Who may ask a worker: by which name it is called, from which page, and with which token."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from lockgate.wire.workers import WorkerConfig
from lockgate.worker.http.messages import CLOSE, Answer, Request, failure

_ASK = (b"www-authenticate", b'Bearer realm="Lockgate"')
_MOST_REMEMBERED = 256


class Entrance:
    """Turns away what comes by a name or from a page that is not ours, and what lacks the token that is asked for.

    A page of another site must not reach a worker by a name that merely points at this machine.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._any_host = "*" in config.hosts
        told = {host.lower() for host in config.hosts}
        self._hosts = frozenset(host for host in told if not host.startswith("*."))
        self._endings = tuple(host[1:] for host in sorted(told) if host.startswith("*."))
        self._origins = frozenset(origin.lower() for origin in config.origins)
        self._closed = config.closed
        self._environment = f"{config.model} --environment ENVIRONMENT"
        self._tokens: frozenset[str] | None = None
        # values of headers that were found good, byte for byte: a client sends the same ones with every request. What
        # was turned away is judged anew each time, so nobody can fill this with junk
        self._good_hosts: set[bytes] = set()
        self._good_origins: set[bytes] = set()
        self._good_tokens: set[bytes] = set()
        self.admit(config.tokens)

    def admit(self, tokens: Iterable[str]) -> None:
        """From now on only callers with one of these tokens get in, told by their digests; with none, anybody does.

        Where the port is open to other machines, none means nobody.
        """
        good = frozenset(tokens)
        self._tokens = good if good or self._closed else None
        self._good_tokens = set()

    @property
    def asks(self) -> bool:
        """Whether a token is asked for."""
        return self._tokens is not None

    def refusal(self, request: Request, *, guarded: bool = True) -> Answer | None:
        """Why the request is turned away, None when it may come in. What is not `guarded` needs no token."""
        authorization = b""
        for name, value in request.headers:
            if name == b"host":
                if value not in self._good_hosts and not self._is_own_host(value):
                    return _strange("Host", value)
            elif name == b"origin":
                if value not in self._good_origins and not self._is_good_origin(value):
                    return _strange("Origin", value)
            elif name == b"authorization":
                authorization = value
        if not guarded or self._tokens is None or authorization in self._good_tokens:
            return None
        return self._locked_out(authorization)

    def _locked_out(self, authorization: bytes) -> Answer | None:
        scheme, _, secret = authorization.strip().partition(b" ")
        # a digest is looked up: how long that takes says nothing about any token
        digest = "sha256:" + hashlib.sha256(secret.strip()).hexdigest()
        if scheme.lower() == b"bearer" and self._tokens is not None and digest in self._tokens:
            _remember(self._good_tokens, authorization)
            return None
        said = "That is no token of this endpoint." if authorization else "This endpoint takes a token."
        how = f"Send it as Authorization: Bearer lge_…; lockgate endpoints token create {self._environment} makes one."
        return failure(401, "UNAUTHENTICATED", f"{said} {how}", _ASK)

    def _is_own_host(self, value: bytes) -> bool:
        own = self._any_host or self._is_own(value.decode("latin-1"))
        return own and _remember(self._good_hosts, value)

    def _is_good_origin(self, value: bytes) -> bool:
        origin = value.decode("latin-1").lower()
        good = self._any_host or origin in self._origins or self._is_own(origin.partition("://")[2])
        return good and _remember(self._good_origins, value)

    def _is_own(self, host: str) -> bool:
        bare = (host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host).lower()
        return bare in self._hosts or (bool(self._endings) and bare.endswith(self._endings))


def _remember(good: set[bytes], value: bytes) -> bool:
    if len(good) >= _MOST_REMEMBERED:
        good.clear()  # many spellings of what is good: judged anew now and then
    good.add(value)
    return True


def _strange(header: str, value: bytes) -> Answer:
    told = value.decode("latin-1")[:200]
    return failure(403, "PERMISSION_DENIED", f"{header} {told!r} is not one this endpoint answers to.", CLOSE)
