"""What the use cases need for people, their passwords and their tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lockgate.domain.access import Grant, Person, Role, Token
from lockgate.domain.identity import Who


@dataclass(frozen=True, slots=True)
class Credentials:
    """A person and the password as it is kept; None when there is none."""

    person: Person
    password: str | None


@dataclass(frozen=True, slots=True)
class Counted:
    """How many there were, and when the earliest of them was."""

    number: int
    earliest: datetime | None


@dataclass(frozen=True, slots=True)
class Failures:
    """The logins that failed lately: under the name from the address, under the name, and from the address."""

    both: Counted
    name: Counted
    address: Counted


class People(Protocol):
    """People, service accounts, what they were given, and their tokens. They are the same in all workspaces."""

    def any(self) -> bool:
        """Whether there is anybody at all. While there is not, every name is a claim."""

    def get(self, name: str) -> Person | None:
        """The one with exactly this name, disabled or not."""

    def alike(self, name: str) -> str | None:
        """A name that is there already and looks the same as this one; None when there is none."""

    def all(self) -> Sequence[Person]:
        """By name, disabled ones among them."""

    def grants_of(self, name: str, token: str = "") -> tuple[Grant, ...]:
        """What the person may act under now, with the token of that id no more than it keeps of it.

        Nothing for somebody who is not there or disabled, and for a token that is another's or revoked.
        """

    def roles_of(self, names: Sequence[str], model: str) -> Mapping[str, frozenset[Role]]:
        """The roles that each has on the model now; whoever is not there or disabled is left out."""

    def add(self, person: Person, by: Who) -> None:
        """Add somebody with their grants, without a password."""

    def credentials(self, name: str) -> Credentials | None: ...

    def set_password(self, name: str, password: str, *, must_change: bool, at: datetime) -> None:
        """Keep this hash."""

    def set_disabled(self, name: str, at: datetime | None) -> None: ...

    def grant(self, name: str, grant: Grant, by: Who, at: datetime) -> None: ...

    def revoke(self, name: str, grant: Grant) -> None: ...

    def add_token(self, token: Token, secret_digest: str, by: Who) -> None: ...

    def token(self, id: str) -> Token | None: ...

    def token_of(self, secret_digest: str) -> Token | None:
        """The token whose secret has this SHA-256."""

    def tokens(self, person: str | None = None) -> Sequence[Token]:
        """Newest first, of one person or of all."""

    def revoke_tokens(self, ids: Sequence[str], at: datetime) -> None: ...

    def used(self, token: str, at: datetime) -> None:
        """The token was used."""

    def failures(self, name: str, address: str, since: datetime) -> Failures:
        """The failed logins since then."""

    def failed(self, name: str, address: str, at: datetime) -> None: ...

    def forget_failures(self, *, before: datetime, name: str = "", address: str = "") -> None:
        """Forget what failed before then, and with a name all that failed under it from that address."""


class Passwords(Protocol):
    """Turning passwords into what is kept of them, and back into a yes or no."""

    def keep(self, password: str) -> str:
        """What is kept of it; another text each time."""

    def fits(self, kept: str | None, password: str) -> bool:
        """Whether it is that password. Takes as long for None, where the answer is always no."""

    def outdated(self, kept: str) -> bool:
        """Whether it is kept in a form that should be replaced at the next login."""

    def understood(self, kept: str) -> bool:
        """Whether `fits` can ever say yes to it: a form that came from elsewhere."""
