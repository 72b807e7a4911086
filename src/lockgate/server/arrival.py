"""Where a request comes from: its own name, and what the proxies say that stand between its caller and this server."""

from __future__ import annotations

import ipaddress
import itertools
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from lockgate.domain.errors import BadInput
from lockgate.server.replies import Scope

REQUEST_ID = "lockgate.request_id"
FORWARDED = re.compile(rb"^(forwarded|x-forwarded-.+|x-real-ip|x-original-.+)$")
MOST_PROXIES = 20

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_SANE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_numbers = itertools.count(1)
_prefix = ""


def _begin() -> None:
    global _prefix
    _prefix = f"req-{secrets.token_hex(5)}-"


# unique without asking the system for chance each time: a prefix of this process, and a number
_begin()
os.register_at_fork(after_in_child=_begin)


def new_request_id() -> str:
    """A name that no other request has."""
    return f"{_prefix}{next(_numbers):x}"


def request_id(told: bytes) -> str:
    """The name that the client gave its request, when it has a form that can stand on the record; else a new one."""
    return told.decode("ascii") if _SANE.fullmatch(told) else new_request_id()


@dataclass(frozen=True, slots=True)
class Proxies:
    """The networks whose members may say for whom they ask."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, written: Iterable[str]) -> Proxies:
        """Read networks such as 10.0.0.0/8 or single addresses. Raises ValueError."""
        return cls(tuple(ipaddress.ip_network(each, strict=False) for each in written))

    def believe(self, scope: Scope, seen: bytes, hosts: list[bytes]) -> list[bytes]:
        """Put the caller's own address, scheme and host where the proxy's were; the hosts that were asked for.

        X-Forwarded-For, -Proto and -Host are read, and no forwarded header goes further. Raises BadInput when whoever
        sent it is no trusted proxy, or what it says is malformed.
        """
        peer = _address((scope.get("client") or ("",))[0])
        if peer is None or not self._trusts(peer):
            raise _untrusted(seen, peer, some=bool(self.networks))
        told: dict[bytes, list[bytes]] = {}
        kept = []
        for key, value in scope["headers"]:
            if FORWARDED.match(key):
                told.setdefault(key, []).append(value)
            else:
                kept.append((key, value))
        if b"x-forwarded-for" in told:
            scope["client"] = (self._caller(b",".join(told[b"x-forwarded-for"])), 0)
        if b"x-forwarded-proto" in told:
            scope["scheme"] = _scheme(told[b"x-forwarded-proto"])
        if b"x-forwarded-host" in told:
            # the last is what the proxy nearest to us was asked for, or passed on itself
            hosts = [told[b"x-forwarded-host"][-1].rpartition(b",")[2].strip()]
            kept = [(key, value) for key, value in kept if key != b"host"] + [(b"host", hosts[0])]
        scope["headers"] = kept
        return hosts

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self.networks)

    def _caller(self, chain: bytes) -> str:
        """The first address from the right that is no proxy of ours: what stands left of it anybody can write."""
        parts = chain.decode("latin-1").split(",")
        if len(parts) > MOST_PROXIES:
            raise BadInput(f"X-Forwarded-For names more than {MOST_PROXIES} addresses.")
        address: Address | None = None
        for part in reversed(parts):
            address = _address(_without_port(part.strip()))
            if address is None:
                raise BadInput(
                    f"X-Forwarded-For holds {part.strip()[:60]!r}, which is no address.",
                    hint="The proxy has to put the caller's address there.",
                )
            if not self._trusts(address):
                break
        return str(address)


NO_PROXIES = Proxies()


@dataclass(frozen=True, slots=True)
class Openings:
    """Who may knock: the hosts this server goes by, the pages of other origins that may ask it, and trusted proxies."""

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    proxies: Proxies = NO_PROXIES


CLOSED = Openings()


def _untrusted(seen: bytes, peer: Address | None, *, some: bool) -> BadInput:
    header = seen.decode("latin-1")
    if some:
        return BadInput(
            f"The request carries {header}, and {peer or 'its sender'} is none of the trusted proxies.",
            hint="Whoever runs the server names them with --trusted-proxies; or have the proxy drop that header.",
        )
    return BadInput(
        f"The request carries {header}: it came through a proxy, and this server trusts none.",
        hint="Connect to it directly, or name the proxy's address with --trusted-proxies.",
    )


def _address(written: str) -> Address | None:
    try:
        found = ipaddress.ip_address(written)
    except ValueError:
        return None
    # an IPv4 caller of an IPv6 socket
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _without_port(written: str) -> str:
    if written.startswith("["):
        return written[1:].partition("]")[0]
    return written.partition(":")[0] if written.count(":") == 1 else written


def _scheme(told: list[bytes]) -> str:
    scheme = told[-1].rpartition(b",")[2].strip().lower().decode("latin-1")
    if scheme not in ("http", "https"):
        raise BadInput(f"X-Forwarded-Proto is {scheme[:20]!r}.", hint="Expected http or https.")
    return scheme
