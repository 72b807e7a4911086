"""Who asked: a name, whether anyone checked it, the door it came through, and from where."""

from __future__ import annotations

from dataclasses import dataclass, field

PERSON, SERVICE = "person", "service"


@dataclass(frozen=True, slots=True)
class Who:
    """A caller. While there are no users every name is a claim, and `verified` is False.

    `kind` is person or service; `address` is where the request came from, `request` its id, and `token` the id of the
    token it came with, each empty where there was none. They make nobody another one: a person is a name.
    """

    name: str
    verified: bool = False
    via: str = "api"
    kind: str = field(default=PERSON, compare=False)
    address: str = field(default="", compare=False)
    request: str = field(default="", compare=False)
    token: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.name if self.verified else f"{self.name} (unverified)"


ANONYMOUS = "anonymous"
LOCKGATE = Who(name="lockgate", verified=True, via="controller", kind=SERVICE)
