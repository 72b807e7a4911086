"""Users and tokens of a server, as `Lockgate(…).people` and `Lockgate(…).tokens`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from lockgate.sdk.http import Http
from lockgate.wire import people as wire
from lockgate.wire.plain import from_json, to_json

AT_ONCE = 500
# each who brings no password gets a one-time one, and what is kept of it takes its time
IMPORT_SECONDS = 120.0


class People:
    """Adding users, giving them roles and passwords. All but `show` of oneself takes the role admin."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def all(self) -> tuple[wire.User, ...]:
        """Everybody, by name."""
        return from_json(wire.UserList, self._http.get("/users")).users

    def show(self, name: str) -> wire.User:
        """One of them. Raises NotFound."""
        return from_json(wire.User, self._http.get("/users/named", name=name))

    def add(self, name: str, *, service: bool = False, grants: Iterable[tuple[str, str]] = ()) -> wire.NewUser:
        """Add a person, whose one-time password is in the answer this once, or a service account.

        `grants` are roles with the pattern of the models they reach: `[("approver", "fraud-*")]`. The first person of a
        server becomes its administrator. Raises Conflict when somebody is called so already.
        """
        given = tuple(wire.Grant(role, pattern) for role, pattern in grants)
        body = wire.UserAsk(name, "service" if service else "person", given)
        return from_json(wire.NewUser, self._http.post("/users", to_json(body)))

    def grant(self, name: str, role: str, pattern: str = wire.EVERYWHERE) -> wire.User:
        """Give a role on the models that the pattern names."""
        return self._changed("/users/grant", wire.GrantAsk(name, role, pattern))

    def revoke(self, name: str, role: str, pattern: str = wire.EVERYWHERE) -> wire.User:
        """Take a role away as it was given. Raises Conflict for the last administrator's."""
        return self._changed("/users/revoke", wire.GrantAsk(name, role, pattern))

    def disable(self, name: str, reason: str = "") -> wire.User:
        """Let somebody in no longer, by password or token. Raises Conflict for the last administrator."""
        return self._changed("/users/disable", wire.NameAsk(name, reason))

    def enable(self, name: str, reason: str = "") -> wire.User:
        """Let somebody in again."""
        return self._changed("/users/enable", wire.NameAsk(name, reason))

    def reset_password(self, name: str, reason: str = "") -> wire.NewUser:
        """A new one-time password for somebody, which is in the answer this once."""
        return from_json(wire.NewUser, self._http.post("/users/password", to_json(wire.NameAsk(name, reason))))

    def change_password(self, old: str, new: str) -> wire.User:
        """Replace the caller's own. Raises Forbidden when the old one is wrong, BadRequest for a weak new one."""
        return self._changed("/password", wire.PasswordAsk(old, new))

    def bring(
        self, people: Sequence[wire.Newcomer], source: str, *, try_only: bool = False
    ) -> tuple[wire.Outcome, ...]:
        """Add people that come from elsewhere, or give them what they lack: of each 500, all or none.

        `try_only` changes nothing and says what would become of each. Raises BadRequest naming those who cannot be.

        Where there are no users yet, an administrator must be among the first 500; the rest takes logging in.
        """
        found: list[wire.Outcome] = []
        for start in range(0, len(people), AT_ONCE):
            body = wire.ImportAsk(source, tuple(people[start : start + AT_ONCE]), try_only)
            found += from_json(
                wire.Imported, self._http.post_slowly("/users/import", to_json(body), IMPORT_SECONDS)
            ).outcomes
        return tuple(found)

    def _changed(self, path: str, body: wire.GrantAsk | wire.NameAsk | wire.PasswordAsk) -> wire.User:
        return from_json(wire.User, self._http.post(path, to_json(body)))


class Tokens:
    """Making, listing and revoking tokens: one's own, and with the role admin those of service accounts."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def all(self, person: str | None = None, *, everybody: bool = False) -> tuple[wire.Token, ...]:
        """The caller's own, those of one person, or everybody's; newest first."""
        answer = self._http.get("/tokens", person=person, everybody="true" if everybody else None)
        return from_json(wire.TokenList, answer).tokens

    def create(
        self,
        person: str = "",
        *,
        label: str = "",
        roles: Iterable[str] = (),
        pattern: str = wire.EVERYWHERE,
        expires_in: timedelta = timedelta(days=90),
    ) -> wire.NewToken:
        """Make one for the caller, or for a service account; its secret is in the answer this once.

        It has those roles of theirs at most, on models that the pattern names, and is good for that long.
        """
        body = wire.TokenAsk(person, label, tuple(roles), pattern, round(expires_in.total_seconds()))
        return from_json(wire.NewToken, self._http.post("/tokens", to_json(body)))

    def revoke(self, id: str, reason: str = "") -> wire.Token:
        """Let that token in no longer. Raises NotFound."""
        return self._revoked(wire.RevokeAsk(id=id, reason=reason))[0]

    def revoke_all(self, person: str, reason: str = "") -> tuple[wire.Token, ...]:
        """Revoke all that somebody has; those that were good until now."""
        return self._revoked(wire.RevokeAsk(person=person, reason=reason))

    def _revoked(self, body: wire.RevokeAsk) -> tuple[wire.Token, ...]:
        return from_json(wire.TokenList, self._http.post("/tokens/revoke", to_json(body))).tokens
