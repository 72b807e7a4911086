"""People, service accounts, what they were given, their tokens, and the logins that failed lately."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    case,
    delete,
    func,
    insert,
    inspect,
    or_,
    select,
    update,
)

from lockgate.adapters.sql import readonly
from lockgate.adapters.sql.people_tables import failed_logins, grants, people, tokens
from lockgate.domain.access import Grant, Person, Role, Token, folded, narrowed, roles_on
from lockgate.domain.canonical import digest_of
from lockgate.domain.errors import NotFound
from lockgate.domain.identity import Who
from lockgate.usecases.access_ports import Counted, Credentials, Failures

_ADDRESS = 64


class SqlPeople:
    """`People`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def any(self) -> bool:
        return self._connection.execute(_ANY).first() is not None

    def get(self, name: str) -> Person | None:
        # nobody is called so, and PostgreSQL would not even take the question
        return next(iter(self._read(people.c.name == name)), None) if name.isprintable() else None

    def alike(self, name: str) -> str | None:
        return self._connection.execute(select(people.c.name).where(people.c.look == folded(name))).scalar()

    def all(self) -> Sequence[Person]:
        return self._read()

    def grants_of(self, name: str, token: str = "") -> tuple[Grant, ...]:
        found = tuple(_given(row.role, row.pattern) for row in self._connection.execute(_GRANTS, {"name": name}))
        if not token:
            return found
        kept = self.token(token)
        if kept is None or kept.person != name or kept.revoked_at is not None:
            return ()
        return narrowed(found, kept.roles, kept.pattern)

    def roles_of(self, names: Sequence[str], model: str) -> Mapping[str, frozenset[Role]]:
        wanted = (people.c.name.in_(names), people.c.disabled_at.is_(None))
        rows = select(people.c.name, grants.c.role, grants.c.pattern).where(*wanted)
        found: dict[str, list[Grant]] = defaultdict(list)
        for row in self._connection.execute(rows.select_from(people.outerjoin(grants))):
            found[row.name] += [] if row.role is None else [_given(row.role, row.pattern)]
        return {name: roles_on(given, model) for name, given in found.items()}

    def add(self, person: Person, by: Who) -> None:
        values = {
            "name": person.name,
            "look": folded(person.name),
            "kind": person.kind,
            "must_change": False,
            "created_at": person.created_at,
            "created_by": str(by),
            "disabled_at": person.disabled_at,
        }
        self._connection.execute(insert(people).values(values))
        for each in person.grants:
            self.grant(person.name, each, by, person.created_at)

    def credentials(self, name: str) -> Credentials | None:
        person = self.get(name)
        if person is None:
            return None
        kept = self._connection.execute(select(people.c.password).where(people.c.name == name)).scalar()
        return Credentials(person, kept)

    def set_password(self, name: str, password: str, *, must_change: bool, at: datetime) -> None:
        self._change(name, {"password": password, "must_change": must_change, "password_at": at})

    def set_disabled(self, name: str, at: datetime | None) -> None:
        self._change(name, {"disabled_at": at})

    def grant(self, name: str, grant: Grant, by: Who, at: datetime) -> None:
        values = {"person_id": self._key(name), "role": grant.role.value, "pattern": grant.pattern}
        self._connection.execute(insert(grants).values(values | {"granted_at": at, "granted_by": str(by)}))

    def revoke(self, name: str, grant: Grant) -> None:
        here = (grants.c.role == grant.role.value, grants.c.pattern == grant.pattern)
        self._connection.execute(delete(grants).where(grants.c.person_id == self._key(name), *here))

    def add_token(self, token: Token, secret_digest: str, by: Who) -> None:
        values = {
            "id": token.id,
            "person_id": self._key(token.person),
            "digest": secret_digest,
            "label": token.label,
            "roles": json.dumps(sorted(token.roles)),
            "pattern": token.pattern,
            "created_at": token.created_at,
            "created_by": str(by),
            "expires_at": token.expires_at,
        }
        self._connection.execute(insert(tokens).values(values))

    def token(self, id: str) -> Token | None:
        row = self._connection.execute(_TOKEN, {"id": id}).first() if id.isprintable() else None
        return None if row is None else _token_of(row)

    def token_of(self, secret_digest: str) -> Token | None:
        row = self._connection.execute(_TOKEN_OF, {"digest": secret_digest}).first()
        return None if row is None else _token_of(row)

    def tokens(self, person: str | None = None) -> Sequence[Token]:
        rows = _TOKENS.order_by(tokens.c.created_at.desc(), tokens.c.id.desc())
        wanted = rows if person is None else rows.where(people.c.name == person)
        return [_token_of(row) for row in self._connection.execute(wanted)]

    def revoke_tokens(self, ids: Sequence[str], at: datetime) -> None:
        still = (tokens.c.id.in_(ids), tokens.c.revoked_at.is_(None))
        self._connection.execute(update(tokens).where(*still).values(revoked_at=at))

    def used(self, token: str, at: datetime) -> None:
        # another server may have written a later one
        earlier = or_(tokens.c.used_at.is_(None), tokens.c.used_at < at)
        self._connection.execute(update(tokens).where(tokens.c.id == token, earlier).values(used_at=at))

    def failures(self, name: str, address: str, since: datetime) -> Failures:
        named, here = failed_logins.c.name == _looks(name), failed_logins.c.address == address[:_ADDRESS]
        wanted = (named & here, named, here)
        asked: list[ColumnElement[Any]] = [
            column for each in wanted for column in (func.count(_when(each)), func.min(_when(each)))
        ]
        row = self._connection.execute(select(*asked).where(failed_logins.c.at > since, or_(named, here))).one()
        both, of_name, of_address = (Counted(row[at], row[at + 1]) for at in (0, 2, 4))
        return Failures(both, of_name, of_address)

    def failed(self, name: str, address: str, at: datetime) -> None:
        values = {"name": _looks(name), "address": address[:_ADDRESS], "at": at}
        self._connection.execute(insert(failed_logins).values(values))

    def forget_failures(self, *, before: datetime, name: str = "", address: str = "") -> None:
        old = failed_logins.c.at < before
        theirs = (failed_logins.c.name == _looks(name)) & (failed_logins.c.address == address[:_ADDRESS])
        self._connection.execute(delete(failed_logins).where(or_(old, theirs) if name else old))

    def _read(self, *wanted: ColumnElement[bool]) -> list[Person]:
        found = self._connection.execute(select(people).where(*wanted)).all()
        given: dict[int, list[Grant]] = defaultdict(list)
        rows = select(grants).order_by(grants.c.role, grants.c.pattern)
        for row in self._connection.execute(rows.where(grants.c.person_id.in_(select(people.c.id).where(*wanted)))):
            given[row.person_id].append(_given(row.role, row.pattern))
        # sorted here: databases differ in how they order letters
        return sorted((_person_of(row, tuple(given[row.id])) for row in found), key=lambda each: each.name)

    def _change(self, name: str, values: dict[str, Any]) -> None:
        if self._connection.execute(update(people).where(people.c.name == name).values(values)).rowcount == 0:
            raise _nobody(name)

    def _key(self, name: str) -> int:
        found = self._connection.execute(select(people.c.id).where(people.c.name == name)).scalar()
        if found is None:
            raise _nobody(name)
        return int(found)


# made once: each request asks these
_ANY = select(people.c.id).limit(1)
_GRANTS = (
    select(grants.c.role, grants.c.pattern)
    .join_from(people, grants)
    .where(people.c.name == bindparam("name"), people.c.disabled_at.is_(None))
    .order_by(grants.c.role, grants.c.pattern)
)
_TOKENS = select(tokens, people.c.name.label("person")).join_from(tokens, people)
_TOKEN = _TOKENS.where(tokens.c.id == bindparam("id"))
_TOKEN_OF = _TOKENS.where(tokens.c.digest == bindparam("digest"))


def _when(wanted: ColumnElement[bool]) -> ColumnElement[datetime | None]:
    return case((wanted, failed_logins.c.at))


def _looks(name: str) -> str:
    return digest_of(folded(name).encode("utf-8", "surrogatepass"))


def _given(role: str, pattern: str) -> Grant:
    return Grant(Role(role), pattern)


def _person_of(row: Row[Any], given: tuple[Grant, ...]) -> Person:
    return Person(
        name=row.name,
        kind=row.kind,
        created_at=row.created_at,
        created_by=row.created_by,
        grants=given,
        disabled_at=row.disabled_at,
        has_password=row.password is not None,
        must_change=bool(row.must_change),
    )


def _token_of(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        person=row.person,
        label=row.label,
        roles=frozenset(Role(role) for role in json.loads(row.roles)),
        pattern=row.pattern,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )


def _nobody(name: str) -> NotFound:
    return NotFound(f"There is nobody called {name!r}.", hint="lockgate users list shows who there is.")


def are_there(uri: str) -> bool:
    """Whether there is anybody in the database, seen without changing it: not in one that is still to be made.

    Raises BadInput and Unavailable when it cannot be looked at.
    """
    try:
        with readonly.reading(readonly.parse(uri)) as connection:
            return inspect(connection).has_table(people.name) and connection.execute(_ANY).first() is not None
    except NotFound:
        return False
