"""Users and their tokens, as the API answers and asks for them. A user is a person or a service account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

_CLOSED: dict[str, Any] = {"extra": "forbid"}

EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role on the models whose names the pattern matches. `within` narrows it once more: a token's own pattern."""

    role: str
    pattern: str = EVERYWHERE
    within: str = EVERYWHERE


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who can log in. `kind` is person or service; `must_change`: the password is a one-time one still."""

    name: str
    kind: str
    active: bool
    created_at: datetime
    created_by: str
    grants: tuple[Grant, ...] = ()
    must_change: bool = False
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UserList:
    """By name."""

    users: tuple[User, ...]


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user with the one-time password to hand over, which is shown this once; None for a service account."""

    user: User
    one_time_password: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """What stands for its person with these roles at most. `state` is active, expired or revoked."""

    id: str
    person: str
    label: str
    roles: tuple[str, ...]
    pattern: str
    state: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TokenList:
    """Newest first."""

    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token with its secret, which is shown this once and kept nowhere."""

    token: Token
    secret: str


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """Who the server takes the caller for. `users`: whether there are any; without them every name is a claim."""

    name: str
    verified: bool
    kind: str
    users: bool
    grants: tuple[Grant, ...] = ()
    token: str = ""
    must_change: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one line of an import: `outcome` is added, granted, unchanged or refused, `because` says why."""

    name: str
    outcome: str
    grants: tuple[Grant, ...] = ()
    one_time_password: str | None = None
    because: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """A line for each that was named, in that order."""

    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class UserAsk:
    """Add somebody. `kind` is person or service."""

    __pydantic_config__: ClassVar = _CLOSED

    name: str
    kind: str = "person"
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class GrantAsk:
    """Give or take a role on the models that a pattern names."""

    __pydantic_config__: ClassVar = _CLOSED

    name: str
    role: str
    pattern: str = EVERYWHERE


@dataclass(frozen=True, slots=True)
class NameAsk:
    """Somebody, and why it is done."""

    __pydantic_config__: ClassVar = _CLOSED

    name: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PasswordAsk:
    """Replace the caller's own password."""

    __pydantic_config__: ClassVar = _CLOSED

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class TokenAsk:
    """Make a token for the caller, or for the service account `person`. Without roles it has all they have now.

    `expires_in` is in seconds.
    """

    __pydantic_config__: ClassVar = _CLOSED

    person: str = ""
    label: str = ""
    roles: tuple[str, ...] = ()
    pattern: str = EVERYWHERE
    expires_in: int = 90 * 86400


@dataclass(frozen=True, slots=True)
class RevokeAsk:
    """Revoke one token by its `id`, or all that a `person` has."""

    __pydantic_config__: ClassVar = _CLOSED

    id: str = ""
    person: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody who comes from elsewhere. `password` is what was kept there of it (scrypt or pbkdf2), never itself."""

    name: str
    grants: tuple[Grant, ...] = ()
    kind: str = "person"
    password: str | None = None


@dataclass(frozen=True, slots=True)
class ImportAsk:
    """Add these, or give them what they lack. With `try_only` nothing changes and the answer says what would."""

    __pydantic_config__: ClassVar = _CLOSED

    source: str
    people: tuple[Newcomer, ...]
    try_only: bool = False
