"""Who asked: a name, whether anyone checked it, and the door it came through."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Who:
    """A caller. While there are no users every name is a claim, and `verified` is False."""

    name: str
    verified: bool = False
    via: str = "api"

    def __str__(self) -> str:
        return self.name if self.verified else f"{self.name} (unverified)"


ANONYMOUS = "anonymous"
LOCKGATE = Who(name="lockgate", verified=True, via="controller")
