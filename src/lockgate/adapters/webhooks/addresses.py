"""Which addresses a webhook may be sent to: public ones, as MLflow has it, unless private ones are allowed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from contextvars import ContextVar
from time import monotonic
from typing import Any

import httpcore2

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# when the request that this thread is sending has to be over, by the monotonic clock
DEADLINE: ContextVar[float] = ContextVar("deadline")


class NotPublicError(Exception):
    """The receiver's name leads to an address inside."""


def is_public(written: str) -> bool:
    """Whether an IP address is reachable from everywhere; an IPv6 address that wraps an IPv4 one counts as that one."""
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(written.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or _behind_nat(address) or address
    return address.is_global


class Outside(httpcore2.NetworkBackend):
    """Connections whose peer is looked at before a byte is sent, and whose every wait ends with the deadline.

    The peer of the connection itself, not what the name was resolved to before: between the two it may change.
    """

    def __init__(self, *, private: bool) -> None:
        self._inner = httpcore2.SyncBackend()
        self._private = private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        stream = self._inner.connect_tcp(host, port, _left(timeout), local_address, socket_options)
        if not self._private:
            try:
                peer = str(stream.get_extra_info("server_addr")[0])
            except OSError:
                peer = ""
            if not is_public(peer):
                stream.close()
                raise NotPublicError(f"{host} leads to {peer or 'nowhere'}, which is no public address")
        return _Bounded(stream)

    def sleep(self, seconds: float) -> None:
        """Never asked for: connecting is not retried down here."""
        self._inner.sleep(seconds)


class _Bounded(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Bounded(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(timeout: float | None) -> float:
    """Seconds that this wait may take. A receiver that sends a byte now and then does not get more time by that."""
    left = DEADLINE.get(monotonic()) - monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the time for this attempt is over")
    return left if timeout is None else min(left, timeout)


def _behind_nat(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
