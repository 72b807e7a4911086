"""How the requests to one endpoint are divided among versions, and where the other models of an environment are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lockgate.domain.canonical import Plain
from lockgate.domain.errors import BadInput

MOST_SHARES = 8
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # RFC 9110's token: what a header or a cookie may be called
_WHOLE = 100.0
_LEAST = 0.001
_SHARE = f"What is from {_LEAST:g} % to 100 %"
_POINTS = 2**64


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Where a model of the same environment is answered: who accepts there, by the names of the workers."""

    endpoint: str
    model: str
    host: str
    port: int
    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """So many percent of the requests are for that version."""

    version: int
    percent: float


@dataclass(frozen=True, slots=True)
class Split:
    """How requests that name no version are divided; what no share takes is for the primary version.

    A request whose `header` names a version is answered by that one. Those with the same value of the header `key`, or
    of the `cookie` that the first answer sets, are answered by the same version as long as the shares stay. `shadow` is
    a version that gets a copy of `shadow_percent` of all requests; its answers are thrown away.
    """

    shares: tuple[Share, ...] = ()
    header: str = ""
    key: str = ""
    cookie: str = ""
    shadow: int | None = None
    shadow_percent: float = _WHOLE

    @property
    def versions(self) -> frozenset[int]:
        """Every version it names."""
        return frozenset(share.version for share in self.shares) | ({self.shadow} if self.shadow is not None else set())

    def checked(self) -> Split:
        """Itself, when it makes sense. Raises BadInput with what does not."""
        for wrong in _faults(self):
            raise BadInput(wrong, hint="lockgate endpoints split --help shows how one is written.")
        return self

    def among(self, versions: frozenset[int], primary: int) -> Split:
        """What is left of it when only those versions may take requests, and the primary takes the rest."""
        there = versions - {primary}
        shares = tuple(share for share in self.shares if share.version in there)
        return replace(self, shares=shares, shadow=self.shadow if self.shadow in there else None)

    def at(self, point: float) -> int | None:
        """The version whose share a point between 0 and 1 falls into, None for the primary.

        A share that grows keeps what it had, as long as those before it stay as they are.
        """
        end = 0.0
        for share in self.shares:
            end += share.percent
            if point * _WHOLE < end:
                return share.version
        return None

    def plain(self) -> dict[str, Plain]:
        """As JSON: shares in thousandths of a percent, for the record holds no floats."""
        return {
            "shares": [{"version": s.version, "thousandths": round(s.percent * 1000)} for s in self.shares],
            "header": self.header,
            "key": self.key,
            "cookie": self.cookie,
            "shadow": self.shadow,
            "shadow_thousandths": round(self.shadow_percent * 1000),
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Split:
        """Read what `plain` gave. Raises KeyError, TypeError or ValueError when it is something else."""
        shadow = plain["shadow"]
        return cls(
            tuple(Share(int(told["version"]), told["thousandths"] / 1000) for told in plain["shares"]),
            str(plain["header"]),
            str(plain["key"]),
            str(plain["cookie"]),
            None if shadow is None else int(shadow),
            plain["shadow_thousandths"] / 1000,
        )


@dataclass(frozen=True, slots=True)
class SetSplit:
    """A split on the record: of which endpoint, by whom and when."""

    environment: str
    model: str
    split: Split
    set_by: str
    set_at: datetime


def point_of(salt: str, key: bytes) -> float:
    """Where a key falls between 0 and 1: always the same for one salt, evenly over all keys."""
    digest = hashlib.blake2b(key, key=salt.encode()[:64], digest_size=8).digest()
    return int.from_bytes(digest) / _POINTS


def _faults(split: Split) -> Sequence[str]:
    versions = [share.version for share in split.shares]
    total = sum(share.percent for share in split.shares)
    checks = [
        (bool(versions or split.header) or split.shadow is not None, "The split divides nothing."),
        (len(versions) <= MOST_SHARES, f"A split has at most {MOST_SHARES} shares."),
        (len(set(versions)) == len(versions), "A version has more than one share."),
        (all(_is_share(share.percent) for share in split.shares), f"{_SHARE} is a share."),
        (total <= _WHOLE + _LEAST / 2, f"The shares are {total:g} % together, and there are only 100."),
        (_is_share(split.shadow_percent), f"{_SHARE} is a shadow's share."),
        (split.shadow not in versions, "A version that answers needs no copy: it cannot be the shadow too."),
        (not (split.key and split.cookie), "Requests stay together by a key or by a cookie, not by both."),
    ]
    names = (split.header, split.key, split.cookie)
    checks += [(not n or bool(_NAME.fullmatch(n)), f"{n[:100]!r} is no name of a header or cookie.") for n in names]
    return [wrong for holds, wrong in checks if not holds]


def _is_share(percent: float) -> bool:
    return _LEAST <= percent <= _WHOLE
